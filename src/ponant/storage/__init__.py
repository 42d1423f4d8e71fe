"""Files, jobs and fine-tuned models: a database, and the contents of files on disk."""
