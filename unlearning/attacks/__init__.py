"""What an attacker measures; the gate uses what needs no reference or shadow models and is quick."""
