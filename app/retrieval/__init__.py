"""Candidates for models that rank a few items and not the whole catalogue.

The counts include all users, so they are a part of the service that knows a user. Suppressed users are subtracted
exactly.
"""

from app.retrieval.co_visits import CoVisits
from app.retrieval.retriever import Retriever

__all__ = ["CoVisits", "Retriever"]
