"""The form of an answer: what a request asks for, its grammar, and how to read it."""
