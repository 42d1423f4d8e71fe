"""Seeded faults: small changes to the code, each of which the tests must catch."""
