"""Engines: token ids in, token ids out. They know nothing of HTTP, chat or JSON bodies."""
