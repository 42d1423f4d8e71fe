"""LangChain's own standard integration tests."""

import os
from typing import Any

from langchain_mistralai import ChatMistralAI, MistralAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests

URL = f"{os.environ['PONANT_URL']}/v1"


class TestStandardChat(ChatModelIntegrationTests):
    """Those for chat models."""

    @property
    def chat_model_class(self) -> type[ChatMistralAI]:
        """What is tested."""
        return ChatMistralAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """How it is made: like a user's, with short and repeatable answers."""
        return {
            "model": "mistral-small-latest",
            "api_key": "any",
            "base_url": URL,
            "temperature": 0,
            "max_tokens": 64,
            "timeout": 300,
        }

    @property
    def model_override_value(self) -> str:
        """Another name of the model."""
        return "mistral-large-latest"

    @property
    def supports_json_mode(self) -> bool:
        """It has `response_format`."""
        return True


class TestStandardEmbeddings(EmbeddingsIntegrationTests):
    """Those for embeddings."""

    @property
    def embeddings_class(self) -> type[MistralAIEmbeddings]:
        """What is tested."""
        return MistralAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        """How it is made."""
        return {"model": "mistral-embed", "api_key": "any", "endpoint": URL, "max_retries": None}
