"""Examples of requests and of answers."""
