"""Child processes: how the server starts, watches and ends them, and how they share processor cores."""
