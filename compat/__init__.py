"""Tests of other clients, each in an environment of its own, against a running server."""
