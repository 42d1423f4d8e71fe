"""HTTP transports of outgoing requests."""
