"""OpenDSR 2.0: forget requests as other privacy tools send them."""
