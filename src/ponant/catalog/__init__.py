"""Served models: names, aliases, loading and unloading."""
