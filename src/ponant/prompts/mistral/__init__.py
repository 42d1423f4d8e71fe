"""Prompts written by Mistral's own tokenizer library."""
