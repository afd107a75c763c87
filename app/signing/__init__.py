"""The Ed25519 keys under which receipts and checkpoints are signed, and the set of keys that is published."""
