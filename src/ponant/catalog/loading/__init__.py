"""Loaders: from the spec of a model to its engine, vocabulary and prompt builders."""
