"""Requests for features that the model's engine does not have."""

from pathlib import Path

import pytest

from ponant.engine.base import Capabilities
from tests.chatting import CHAT, assert_error
from tests.in_process import serving_scripted

USER = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(
    ("lacking", "fields"),
    [
        ({"grammars": False}, {"response_format": {"type": "json_object"}}),
        ({"logprobs": False}, {"logprobs": True, "top_logprobs": 2}),
        ({"prompt_logprobs": False}, {"prompt_logprobs": True}),
        ({"logit_bias": False}, {"logit_bias": {"5": 1}}),
    ],
    ids=["grammars", "logprobs", "prompt_logprobs", "logit_bias"],
)
def test_request_for_a_lacking_feature_is_refused(
    tiny_model: Path, lacking: dict[str, bool], fields: dict[str, object]
) -> None:
    engine = {"capabilities": Capabilities(**lacking)}
    with serving_scripted(tiny_model, engine=engine) as server, server.client() as client:
        response = client.post(
            CHAT, json={"messages": USER} | fields, headers={"user-agent": "mistral-client-python/2"}
        )
        assert_error(response, 400, "not_supported")
        assert not server.engine.requests
