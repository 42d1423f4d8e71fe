"""Long-running jobs of any kind: lock, lanes, runner, cancellation, resumption."""
