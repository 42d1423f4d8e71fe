"""Server in the client's process."""
