"""What serving replicas read and report."""
