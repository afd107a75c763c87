"""The clock of a forget request: when it is due, how far that can be extended, and when to warn. Pure.

Every function takes aware instants and returns instants in UTC.
"""
