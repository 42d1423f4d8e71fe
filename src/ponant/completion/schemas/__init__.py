"""Checks of JSON schemas, in a process with limits."""
