"""Which models exist, where their weights are, and which of them are loaded under what names."""
