"""Fine-tuning jobs as in the API, and the models that they make."""
