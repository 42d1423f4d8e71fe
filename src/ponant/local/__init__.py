"""The application inside the client's own process."""
