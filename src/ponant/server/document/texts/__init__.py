"""Texts and examples of all fields and parameters, by schema or operation."""
