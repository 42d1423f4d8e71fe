"""JSON schemas in the words that grammars understand."""
