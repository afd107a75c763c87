"""Attacks on a model: membership inference, relearning, rounding. The gate uses those that are quick and need no
reference or shadow models.
"""
