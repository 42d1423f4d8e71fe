"""Formats of tool calls in prompts and answers."""
