"""The answer that a request asks for: its specification, instructions, grammar and output format."""
