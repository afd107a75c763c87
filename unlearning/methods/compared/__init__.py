"""Published methods that the ladder is compared with. A policy may name any of them; the default policy names none."""
