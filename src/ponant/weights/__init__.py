"""Models on disk and from the hub."""
