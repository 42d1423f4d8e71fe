"""Model files: on disk and from the Hugging Face hub."""
