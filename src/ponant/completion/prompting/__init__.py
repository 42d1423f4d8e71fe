"""The building of prompts for requests: in threads of this process."""
