"""The control plane of the replicas: what they read, and what they report."""
