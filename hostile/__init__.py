"""Hostile trials of the server: odd, huge and broken requests, silent connections, and kills of its processes."""
