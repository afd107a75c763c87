"""Every method by what it is for.

`ladder/` is what the default policy runs, `compared/` stands beside it in benchmarks, `controls/` need no skill,
`shared/` is what several methods use. `registry.py` lists every method by name.
"""
