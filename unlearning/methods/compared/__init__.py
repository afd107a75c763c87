"""Methods of other papers. A policy may name any of them; the default policy names none."""
