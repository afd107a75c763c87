"""The outbox: messages to other processes, stored in the transaction that causes them."""
