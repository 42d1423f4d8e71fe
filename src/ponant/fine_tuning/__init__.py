"""Fine-tuning as the API has it: jobs that are created, run in a process of their own, and leave models behind."""
