"""Webhooks: endpoints that other systems have registered, and the deliveries of public events to them."""
