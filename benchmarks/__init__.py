"""Benchmarks of Ponant: load generators over real HTTP, and measurements of the engine alone."""
