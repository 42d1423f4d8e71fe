"""Loading of models: from a description to an engine."""
