"""Evaluation: what a candidate forgot and what it kept, with the evidence the gate needs."""
