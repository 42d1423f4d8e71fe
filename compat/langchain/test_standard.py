"""LangChain's own standard integration tests."""

import os
from typing import Any

import pytest
from langchain_mistralai import ChatMistralAI, MistralAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests

URL = f"{os.environ['PONANT_URL']}/v1"

EXPECTED_FAILURES = {
    "test_invoke_with_model_override": "the package tells the name that it was made with, not that of the answer",
    "test_ainvoke_with_model_override": "the package tells the name that it was made with, not that of the answer",
    "test_tool_calling": "the bundled model makes the right call twice; one is wanted",
    "test_tool_calling_async": "the bundled model makes the right call twice; one is wanted",
    "test_tool_calling_with_no_arguments": "the bundled model makes the right call twice; one is wanted",
    "test_structured_output_optional_param": "the bundled model repeats itself until max_tokens",
    "test_agent_loop": "the bundled model makes no call where it is free not to",
}
"""What a model of 135 million parameters cannot answer, or the package cannot pass, and why."""


class TestStandardChat(ChatModelIntegrationTests):
    """Those for chat models."""

    @pytest.fixture(autouse=True)
    def expect_failure(self, request: pytest.FixtureRequest) -> None:
        """Mark the test if it is to fail; overriding it would hide how it is parametrized."""
        if reason := EXPECTED_FAILURES.get(request.node.originalname):
            request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True))

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
