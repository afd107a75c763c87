"""Candidates for models that rank a few items and not the whole catalogue.

The counts are over everybody, so they are a part of what knows a user: whoever is suppressed is subtracted exactly.
"""

from app.retrieval.co_visits import CoVisits
from app.retrieval.retriever import Retriever

__all__ = ["CoVisits", "Retriever"]
