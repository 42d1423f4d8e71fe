"""Prompts of Mistral's tokenizer library, ``mistral-common``."""
