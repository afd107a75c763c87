"""Database migrations.

The previous release still runs while one is applied: expand, backfill, contract, in separate revisions.
"""
