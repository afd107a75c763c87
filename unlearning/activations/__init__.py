"""Activation statistics of an adapter's layers, collected by one forward pass. U-CAN contrasts them."""
