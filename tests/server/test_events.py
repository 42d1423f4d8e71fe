"""Events of streams in all dialects."""

import json
from typing import Any

import pytest

from ponant.engine.base import Delta, TokenLogprobs
from tests.chatting import CHAT
from tests.in_process import ScriptedServer

MESSAGES = {"messages": [{"role": "user", "content": "Hello"}]}
PROMPT = {"prompt": "Hello"}
SEPARATED = "a\u2028b\u2029c\x85d\u20e8\xc5"
STREAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (CHAT, MESSAGES),
    "chat, with log-probabilities": (CHAT, MESSAGES | {"logprobs": True}),
    "chat in OpenAI's dialect": (f"/openai{CHAT}", MESSAGES | {"stream_options": {"include_usage": True}}),
    "chat in NIM's dialect": (f"/nim{CHAT}", MESSAGES),
    "filling in": ("/v1/fim/completions", PROMPT),
    "a text": ("/v1/completions", PROMPT),
    "a text with its prompt": ("/openai/v1/completions", {"prompt": SEPARATED, "echo": True}),
}


@pytest.mark.parametrize("agent", ["", "mistral-client-python/0.4.2"])
@pytest.mark.parametrize(("path", "fields"), STREAMS.values(), ids=STREAMS)
def test_separators_of_lines_are_escaped_in_events(
    scripted_server: ScriptedServer, path: str, fields: dict[str, Any], agent: str
) -> None:
    engine = scripted_server.engine
    tokens = engine.tokens(SEPARATED)
    chances = [TokenLogprobs(-0.5, []) for _ in tokens] if "logprobs" in fields else None
    engine.play(Delta(0, tokens, logprobs=chances))
    with scripted_server.client() as client:
        body = fields | {"stream": True, "max_tokens": 60}
        response = client.post(path, json=body, headers={"user-agent": agent} if agent else {})
    assert response.status_code == 200, response.text
    events = response.text.split("\n\n")
    assert all(event.splitlines() == [event] for event in events[:-1])
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    texts = [choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices]
    assert "".join(texts).endswith(SEPARATED)
