"""Activation statistics of an adapter's layers: collected by one forward pass, what U-CAN contrasts."""
