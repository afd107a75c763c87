"""What an auditor measures; the gate takes from it what needs no references or shadow models and is quick."""
