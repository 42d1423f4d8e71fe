"""Embedding models, each in a worker process."""
