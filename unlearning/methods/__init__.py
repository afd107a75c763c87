"""All methods, by purpose.

`ladder/` holds the methods of the default policy, `compared/` those that benchmarks compare with them, `controls/` the
trivial edits that every method must beat. `shared/` holds code that several methods use. `registry.py` lists every
method by name.
"""
