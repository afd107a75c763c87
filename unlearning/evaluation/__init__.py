"""What a candidate forgot, what it kept, and how sure that is."""
