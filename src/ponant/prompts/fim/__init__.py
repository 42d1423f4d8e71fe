"""Prompts for fill-in-the-middle."""
