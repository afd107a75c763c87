"""Throughput and latency of serving, beside the raw forward and other servers."""
