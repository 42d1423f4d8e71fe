"""Requests for embeddings."""
