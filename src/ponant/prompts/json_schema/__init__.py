"""Translation of JSON schemas to grammars."""
