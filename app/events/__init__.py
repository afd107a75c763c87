"""Public events: what happened to requests and versions, told to others by stream and webhook."""
