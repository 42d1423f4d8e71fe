"""Chat, fill-in-the-middle and text completion requests."""
