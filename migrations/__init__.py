"""Database migrations.

The previous release still runs while a migration is applied. So expand, backfill and contract are separate revisions.
"""
