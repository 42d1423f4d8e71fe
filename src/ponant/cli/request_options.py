"""Options of commands, by the path of the field of a request that they set."""

SAMPLING = {
    "temperature": "--temperature",
    "top_p": "--top-p",
    "max_tokens": "--max-tokens",
    "random_seed": "--seed",
    "stop": "--stop",
    "model": "--model",
}
CHAT = SAMPLING | {
    "response_format": "--json-schema",
    "response_format.json_schema": "--json-schema",
    "response_format.json_schema.schema": "--json-schema",
}
DIALOGUE = CHAT | {"temperature": "/temperature", "model": "/model"}
TRAINING = {
    "model": "--model",
    "suffix": "--suffix",
    "training_files": "FILE",
    "validation_files": "--validation",
    "hyperparameters.training_steps": "--steps",
    "hyperparameters.epochs": "--epochs",
    "hyperparameters.learning_rate": "--learning-rate",
    "hyperparameters.seq_len": "--seq-len",
    "hyperparameters.fim_ratio": "--fim-ratio",
    "invalid_sample_skip_percentage": "--skip-invalid",
    "integrations": "--wandb-project",
}
