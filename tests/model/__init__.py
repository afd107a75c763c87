"""A small model of the service, searched exhaustively: `python -m tests.model`.

`state` says what there is, `steps` what may happen next, `promises` what must always hold. `search` visits every state
that can be reached, breadth first. `variants` are models without one safeguard: a promise must break in each, and the
command prints the shortest way there.

The model is written by hand from docs/architecture.md and shares no code with the product: what it finds is a fault of
the design. tests/integration/db/test_request_life.py compares the code with the design.
"""
