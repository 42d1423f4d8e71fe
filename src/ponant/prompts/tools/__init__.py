"""Tool calls in prompts and answers."""
