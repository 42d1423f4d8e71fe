"""The command ``ponant``."""
