"""Fine-tuning: from JSON Lines files to a LoRA adapter."""
