"""Inspection of a machine: hardware, toolchains, and the installed engine."""
