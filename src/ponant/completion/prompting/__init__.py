"""The building of prompts for requests: in threads of this process, or in a helper process."""
