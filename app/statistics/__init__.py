"""Yearly figures about erasures."""
