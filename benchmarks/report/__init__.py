"""Benchmark results as tables and plots."""
