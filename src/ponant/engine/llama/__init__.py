"""The embedded engine: a scheduler over llama.cpp in a worker process."""
