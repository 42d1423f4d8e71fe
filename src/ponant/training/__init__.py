"""LoRA training: from JSON Lines files to an adapter."""
