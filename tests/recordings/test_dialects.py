"""Dialects: OpenAI's, NVIDIA NIM's, those of older clients, text completions, and paths without a version."""

from typing import Any

import httpx2

from tests.chatting import CHAT, body
from tests.recordings.asking import Ask, answers
from tests.recordings.recording import Recording

TEXT = "/v1/completions"
JSON = {"content-type": "application/json"}
AGENT = "user-agent"
USER = {"role": "user", "content": "Hello"}
SAY = {
    "name": "say",
    "parameters": {"type": "object", "properties": {"it": {"enum": ["yes", "no"]}}, "required": ["it"]}
    | {"additionalProperties": False},
}
TOOL = {"type": "function", "function": SAY}
CALLING: dict[str, Any] = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False, "max_tokens": 80}
OLD_CALLING: dict[str, Any] = {"functions": [SAY], "function_call": {"name": "say"}, "max_tokens": 80}
CALL = {"id": "call_abcdefghijklmnop", "type": "function", "function": {"name": "say", "arguments": '{"it": "no"}'}}
USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def openai(path: str = CHAT, **fields: Any) -> Ask:
    return Ask(f"POST /openai{path}", body(**fields))


def nim(**fields: Any) -> Ask:
    return Ask(f"POST /nim{CHAT}", body(**fields))


def agent(name: str, path: str = CHAT, **fields: Any) -> Ask:
    return Ask(f"POST {path}", body(**fields), headers={AGENT: name})


def raw(path: str, content: bytes) -> Ask:
    return Ask(f"POST {path}", headers=JSON, options={"content": content})


OPENAI = {
    "whole": openai(),
    "streamed": openai(stream=True),
    "streamed with its usage": openai(**USAGE),
    "several choices": openai(n=2),
    "log-probabilities": openai(logprobs=True, top_logprobs=2),
    "log-probabilities, streamed": openai(logprobs=True, top_logprobs=2, stream=True),
    "a call": openai(**CALLING),
    "a call, streamed": openai(**CALLING, stream=True),
    "a function's call": openai(**OLD_CALLING),
    "a function's call, streamed": openai(**OLD_CALLING, stream=True),
    "as long as the context": openai(max_tokens=None, min_tokens=490),
    "reasoning": openai(reasoning_effort="medium"),
    "reasoning, streamed": openai(reasoning_effort="medium", stream=True),
    "the result of a call": openai(
        messages=[
            {"role": "developer", "content": "Be brief."},
            USER,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": CALL["id"], "content": "said"},
        ]
    ),
    "fields that change nothing": openai(
        user="u", store=False, service_tier="auto", logit_bias={}, modalities=["text"], metadata={"a": "b"}
    ),
    "no JSON": raw(f"/openai{CHAT}", b"{"),
    "no object": raw(f"/openai{CHAT}", b"[]"),
    "no messages": Ask(f"POST /openai{CHAT}", {}),
    "a value out of range": openai(temperature=9),
    "an unknown field": openai(colour="blue"),
    "an unknown model": openai(model="no-such-model"),
    "an unknown model, streamed": openai(model="no-such-model", stream=True),
    "more than the context": openai(max_completion_tokens=100_000, max_tokens=None),
    "a conversation that ends wrongly": openai(messages=[USER, {"role": "assistant", "content": "No."}]),
    "a sound": openai(messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]),
    "fields that contradict each other": openai(max_completion_tokens=5, max_tokens=6),
    "stored": openai(store=True),
    "a custom tool": openai(tools=[{"type": "custom", "custom": {"name": "c"}}]),
    "allowed tools": openai(tools=[TOOL], tool_choice={"type": "allowed_tools", "allowed_tools": {}}),
    "likelier tokens": openai(logit_bias={"1": 1}),
    "a search": openai(web_search_options={}),
    "an unknown option of streams": openai(stream=True, stream_options={"colour": True}),
    "an unknown effort": openai(reasoning_effort="some"),
    "the wrong method": Ask(f"GET /openai{CHAT}"),
    "no such path": Ask("GET /openai/v1/no/such/path"),
    "models": Ask("GET /openai/v1/models"),
    "a model": Ask("GET /openai/v1/models/tiny"),
    "no such model": Ask("GET /openai/v1/models/no-such-model"),
    "embeddings": Ask("POST /openai/v1/embeddings", {"model": "tiny-embedder", "input": "a", "dimensions": 8}),
    "embeddings of tokens": Ask("POST /openai/v1/embeddings", {"model": "tiny-embedder", "input": [1, 2]}),
    "embeddings of an unknown model": Ask("POST /openai/v1/embeddings", {"model": "no-such-model", "input": "a"}),
    "a file that there is not": Ask("GET /openai/v1/files/00000000-0000-4000-8000-000000000000"),
    "a slash at the end": openai(f"{CHAT}/"),
}

RECOGNISED = {
    "by a field": Ask(f"POST {CHAT}", body(seed=1)),
    "by a field that is null": Ask(f"POST {CHAT}", body(user=None)),
    "by a field, streamed": Ask(f"POST {CHAT}", body(seed=1, **USAGE)),
    "by a field, refused": Ask(f"POST {CHAT}", body(seed=1, temperature=9)),
    "by a field of embeddings": Ask("POST /v1/embeddings", {"model": "tiny-embedder", "input": "a", "dimensions": 8}),
    "by the client": agent("OpenAI/Python 3.0.0"),
    "by the asynchronous client": agent("AsyncOpenAI/Python 3.0.0"),
    "by the client, models": Ask("GET /v1/models", headers={AGENT: "OpenAI/JS 6"}),
    "another client": agent("MyOpenAI/Python 3.0.0"),
    "Mistral's early client": agent("mistral-client-python/0.4.2", max_tokens=None, min_tokens=490),
    "Mistral's early client, streamed": agent("mistral-client-python/0.4.2", **CALLING, stream=True),
    "Mistral's early client, refused": agent("mistral-client-python/0.4.2", model="no-such-model"),
    "Mistral's client": agent("mistral-client-python/3.7.0", service_tier="priority"),
    "Mistral's client, a field of OpenAI's": agent("mistral-client-python/3.7.0", seed=1),
    "an unknown client, streamed": agent("curl/8", **CALLING, stream=True),
}

NIM = {
    "whole": nim(),
    "streamed": nim(stream=True),
    "a call": nim(**CALLING),
    "a call, streamed": nim(**CALLING, stream=True),
    "its defaults need a longer context": Ask(f"POST /nim{CHAT}", {"messages": [USER]}),
    "a value out of range": nim(temperature=1.1),
    "no tokens": nim(max_tokens=0),
    "an unknown field": nim(colour="blue"),
    "no messages": Ask(f"POST /nim{CHAT}", {}),
    "an unknown model": nim(model="no-such-model"),
    "no JSON": raw(f"/nim{CHAT}", b"{"),
    "no such path": Ask("GET /nim/v1/no/such/path"),
    "the wrong method": Ask(f"GET /nim{CHAT}"),
    "models": Ask("GET /nim/v1/models"),
    "a model": Ask("GET /nim/v1/models/tiny"),
    "no such model": Ask("GET /nim/v1/models/no-such-model"),
}


def text(**fields: Any) -> Ask:
    return Ask(f"POST {TEXT}", {"prompt": "Once upon", "max_tokens": 12} | fields)


TEXTS = {
    "whole": text(),
    "streamed": text(stream=True),
    "streamed with its usage": text(**USAGE),
    "as long as by default": Ask(f"POST {TEXT}", {"prompt": "Once upon"}),
    "several choices of several prompts": text(prompt=["One", "Two"], n=2),
    "several prompts, streamed": text(prompt=["One", "Two"], stream=True),
    "echoed": text(echo=True),
    "echoed, streamed": text(echo=True, stream=True),
    "a suffix": text(suffix="the end"),
    "log-probabilities": text(logprobs=2),
    "log-probabilities, streamed": text(logprobs=2, stream=True),
    "with OpenAI's prefix": Ask(f"POST /openai{TEXT}", {"prompt": "Once upon", "max_tokens": 12}),
    "with NIM's prefix": Ask(f"POST /nim{TEXT}", {"prompt": "Once upon", "max_tokens": 12}),
    "without the version": Ask("POST /completions", {"prompt": "Once upon", "max_tokens": 12}),
    "tokens": text(prompt=[1, 2]),
    "no prompt": Ask(f"POST {TEXT}", {}),
    "no prompts": text(prompt=[]),
    "the best of several": text(best_of=2),
    "echoed log-probabilities": text(echo=True, logprobs=1),
    "an unknown field": text(colour="blue"),
    "an unknown model": text(model="no-such-model"),
    "more than the context": text(max_tokens=100_000),
    "no JSON": raw(TEXT, b"{"),
    "the wrong method": Ask(f"GET {TEXT}"),
}

WITHOUT_VERSION = {
    "chat": Ask("POST /chat/completions", body()),
    "chat, streamed": Ask("POST /chat/completions", body(stream=True)),
    "filling in": Ask("POST /fim/completions", {"prompt": "a", "max_tokens": 12}),
    "embeddings": Ask("POST /embeddings", {"model": "tiny-embedder", "input": "a"}),
    "models": Ask("GET /models/tiny"),
    "files": Ask("GET /files/00000000-0000-4000-8000-000000000000"),
    "fine-tuning": Ask("GET /fine_tuning/jobs/00000000-0000-4000-8000-000000000000"),
    "no such path": Ask("GET /chat/no/such/path"),
}


def test_openai(tiny_client: httpx2.Client, recording: Recording) -> None:
    recording.check("openai", answers(tiny_client, OPENAI))


def test_recognised_clients(tiny_client: httpx2.Client, recording: Recording) -> None:
    recording.check("recognised", answers(tiny_client, RECOGNISED))


def test_nim(tiny_client: httpx2.Client, recording: Recording) -> None:
    recording.check("nim", answers(tiny_client, NIM))


def test_text_completions(tiny_client: httpx2.Client, recording: Recording) -> None:
    recording.check("text", answers(tiny_client, TEXTS))


def test_paths_without_their_version(tiny_client: httpx2.Client, recording: Recording) -> None:
    recording.check("without_version", answers(tiny_client, WITHOUT_VERSION))
