"""Dialects of the API. The rest of the server uses the Mistral API only."""
