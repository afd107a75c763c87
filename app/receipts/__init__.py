"""Receipts: what was accepted and what was done, signed, so that the requester can prove it without this service."""
