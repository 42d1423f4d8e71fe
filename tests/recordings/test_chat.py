"""Chat, fill-in-the-middle and embeddings of the Mistral API."""

from typing import Any

import httpx2

from tests.chatting import CHAT, body
from tests.recordings.asking import Ask, answers
from tests.recordings.recording import Recording

FIM = "/v1/fim/completions"
EMBEDDINGS = "/v1/embeddings"
JSON = {"content-type": "application/json"}

SAY = {
    "type": "function",
    "function": {
        "name": "say",
        "description": "Say it.",
        "parameters": {"type": "object", "properties": {"it": {"enum": ["yes"]}}, "required": ["it"]}
        | {"additionalProperties": False},
    },
}
ONE_WORD = {"type": "json_schema", "json_schema": {"name": "word", "schema": {"enum": ["yes"]}, "strict": True}}
CALLED: list[dict[str, Any]] = [
    {"role": "user", "content": "Say yes."},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "abcdefgh1", "function": {"name": "say", "arguments": '{"it": "yes"}'}}],
    },
    {"role": "tool", "tool_call_id": "abcdefgh1", "name": "say", "content": "said"},
]


def chat(text: str = "Hello", **fields: Any) -> Ask:
    return Ask(f"POST {CHAT}", body(text, **fields))


def messages(*sent: dict[str, Any], **fields: Any) -> Ask:
    return chat(messages=list(sent), **fields)


USER: dict[str, Any] = {"role": "user", "content": "Hello"}
CALLING: dict[str, Any] = {"tools": [SAY], "tool_choice": "any", "parallel_tool_calls": False, "max_tokens": 80}

ANSWERED = {
    "whole": chat(),
    "streamed": chat(stream=True),
    "several choices": chat(n=2),
    "several choices, streamed": chat(n=2, stream=True),
    "log-probabilities": chat(logprobs=True, top_logprobs=2),
    "log-probabilities, streamed": chat(logprobs=True, top_logprobs=2, stream=True),
    "no tokens": chat(max_tokens=0),
    "no tokens, streamed": chat(max_tokens=0, stream=True),
    "as long as the context": chat(max_tokens=None, min_tokens=490),
    "another name": chat(model="mistral-large-latest"),
    "a prefix": messages(USER, {"role": "assistant", "content": "Once", "prefix": True}),
    "a prefix, streamed": messages(USER, {"role": "assistant", "content": "Once", "prefix": True}, stream=True),
    "a system message and chunks": messages(
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "One?"}]}
    ),
    "the result of a call": messages(*CALLED),
    "a prediction": chat(prediction={"type": "content", "content": "Hello"}),
    "JSON by a schema": chat(response_format=ONE_WORD, max_tokens=50),
    "JSON by a schema, streamed": chat(response_format=ONE_WORD, max_tokens=50, stream=True),
    "a call": chat(**CALLING),
    "a call, streamed": chat(**CALLING, stream=True),
    "reasoning": chat(prompt_mode="reasoning"),
    "reasoning, streamed": chat(prompt_mode="reasoning", stream=True),
    "every other field": chat(
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        min_tokens=12,
        stop=["never to be found in it"],
        random_seed=1,
        metadata={"why": "because"},
        presence_penalty=0.1,
        frequency_penalty=0.1,
        repetition_penalty=1.1,
        safe_prompt=True,
        prompt_cache_key="k",
        reasoning_effort="none",
    ),
}

REFUSED = {
    "no JSON": Ask(f"POST {CHAT}", headers=JSON, options={"content": b"{"}),
    "no object": Ask(f"POST {CHAT}", headers=JSON, options={"content": b"[]"}),
    "no body": Ask(f"POST {CHAT}", headers=JSON),
    "no UTF-8": Ask(f"POST {CHAT}", headers=JSON, options={"content": b'{"model": "\xff"}'}),
    "numbers that are none": Ask(
        f"POST {CHAT}", headers=JSON, options={"content": b'{"messages": [], "temperature": NaN}'}
    ),
    "a body of another kind": Ask(f"POST {CHAT}", headers={"content-type": "text/plain"}, options={"content": b"{}"}),
    "no messages": Ask(f"POST {CHAT}", {}),
    "an empty list of messages": messages(),
    "an unknown role": messages({"role": "wizard", "content": "Hello"}),
    "an unknown field": chat(colour="blue"),
    "OpenAI's field that Mistral shares a part of": chat(seed=1, random_seed=2),
    "several values out of range": chat(temperature=7, top_p=-1, max_tokens=-1, n=17, stop=""),
    "a long value of another type": chat(max_tokens="x" * 2000),
    "an unknown model": chat(model="no-such-model"),
    "an unknown model, streamed": chat(model="no-such-model", stream=True),
    "a model that embeds": chat(model="tiny-embedder"),
    "more than the context": chat(max_tokens=100_000),
    "a prompt longer than the context": chat("Hello " * 2000),
    "a prompt longer than the context, streamed": chat("Hello " * 2000, stream=True),
    "an assistant's message at the end": messages(USER, {"role": "assistant", "content": "No."}),
    "a system message alone": messages({"role": "system", "content": "Be brief."}),
    "a result without a call": messages(USER, CALLED[2]),
    "a result of another call": messages(*CALLED[:2], CALLED[2] | {"tool_call_id": "xyzxyzxyz"}),
    "a call without a result": messages(*CALLED[:2], USER),
    "an empty assistant's message": messages(USER, {"role": "assistant", "content": ""}, USER),
    "an image": messages({"role": "user", "content": [{"type": "image_url", "image_url": "data:,x"}]}),
    "a choice without tools": chat(tool_choice="any"),
    "a choice of another tool": chat(tools=[SAY], tool_choice={"type": "function", "function": {"name": "run"}}),
    "two functions of one name": chat(tools=[SAY, SAY]),
    "a function's name that is none": chat(tools=[{"type": "function", "function": {"name": "a b", "parameters": {}}}]),
    "parameters that are no object": chat(
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}]
    ),
    "too many tools": chat(
        tools=[{"type": "function", "function": {"name": f"f{number}", "parameters": {}}} for number in range(1001)]
    ),
    "JSON and a call": chat(response_format={"type": "json_object"}, tools=[SAY], tool_choice="any"),
    "a format without its schema": chat(response_format={"type": "json_schema"}),
    "a schema without its format": chat(response_format=ONE_WORD | {"type": "text"}),
    "a schema that nothing satisfies": chat(
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": []}}}
    ),
    "a schema that is none": chat(
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "thing"}}}
    ),
    "a schema that refers to nothing": chat(
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"$ref": "#/$defs/no"}}}
    ),
    "a tool whose schema cannot be held": chat(
        tools=[
            {
                "type": "function",
                "function": {"name": "f", "strict": True, "parameters": {"not": {"pattern": "(?<=a)b"}}},
            }
        ],
        tool_choice="any",
    ),
    "a prefix and JSON": messages(
        USER, {"role": "assistant", "content": "Once", "prefix": True}, response_format={"type": "json_object"}
    ),
    "reasoning and none of it": chat(prompt_mode="reasoning", reasoning_effort="none"),
    "guardrails that block": chat(guardrails=[{"moderation_llm_v1": {"action": "block"}}]),
    "more log-probabilities than there may be": chat(logprobs=True, top_logprobs=21),
    "log-probabilities' number alone": chat(top_logprobs=2),
    "less than nothing of a penalty": chat(repetition_penalty=0),
}


def fim(**fields: Any) -> Ask:
    return Ask(f"POST {FIM}", {"prompt": "def f(", "suffix": "return 1", "max_tokens": 12} | fields)


FILLED = {
    "whole": fim(),
    "streamed": fim(stream=True),
    "no suffix": fim(suffix=None),
    "another name": fim(model="codestral-latest"),
    "no tokens": fim(max_tokens=0),
    "every other field": fim(
        temperature=0.5, top_p=0.9, stop=["never to be found"], random_seed=1, min_tokens=12, metadata={"a": 1}
    ),
    "no prompt": Ask(f"POST {FIM}", {}),
    "no JSON": Ask(f"POST {FIM}", headers=JSON, options={"content": b"{"}),
    "nothing to go on from": fim(prompt="", suffix=""),
    "an unknown field": fim(n=2),
    "values out of range": fim(temperature=7, max_tokens=-1),
    "an unknown model": fim(model="no-such-model"),
    "a model that embeds": fim(model="tiny-embedder"),
    "more than the context": fim(max_tokens=100_000),
    "a prompt longer than the context": fim(prompt="Hello " * 2000),
    "the wrong method": Ask(f"GET {FIM}"),
}


def embed(texts: Any = ("the cat sleeps", "a dog"), **fields: Any) -> Ask:
    given = list(texts) if isinstance(texts, tuple) else texts
    return Ask(f"POST {EMBEDDINGS}", {"model": "tiny-embedder", "input": given} | fields)


EMBEDDED = {
    "texts": embed(),
    "one text": embed("the cat"),
    "base64": embed(encoding_format="base64"),
    "fewer dimensions": embed(output_dimension=8),
    "small numbers": embed(output_dtype="int8"),
    "bits": embed(output_dtype="ubinary"),
    "bits, base64": embed(output_dtype="binary", encoding_format="base64"),
    "another name": embed(model="mistral-embed"),
    "metadata": embed(metadata={"a": 1}),
    "no texts": embed([]),
    "an empty text": embed(["a", ""]),
    "too many texts": embed(["a"] * 10_001),
    "a text longer than the context": embed("a " * 100),
    "a text much longer than the context": embed("a " * 100_000),
    "a NUL character": embed("a\0b"),
    "tokens": embed([1, 2]),
    "no model": Ask(f"POST {EMBEDDINGS}", {"input": "a"}),
    "an unknown model": embed(model="no-such-model"),
    "a model that chats": embed(model="tiny"),
    "no dimensions": embed(output_dimension=0),
    "too many dimensions": embed(output_dimension=1000),
    "an unknown type": embed(output_dtype="float16"),
    "an unknown field": embed(colour="blue"),
    "no JSON": Ask(f"POST {EMBEDDINGS}", headers=JSON, options={"content": b"{"}),
    "the wrong method": Ask(f"GET {EMBEDDINGS}"),
}


def test_chat_answers(tiny_client: httpx2.Client, recording: Recording) -> None:
    recording.check("chat", answers(tiny_client, ANSWERED))


def test_chat_refusals(tiny_client: httpx2.Client, recording: Recording) -> None:
    recording.check("chat_refused", answers(tiny_client, REFUSED))


def test_filling_in(tiny_client: httpx2.Client, recording: Recording) -> None:
    recording.check("fim", answers(tiny_client, FILLED))


def test_embeddings(tiny_client: httpx2.Client, recording: Recording) -> None:
    recording.check("embeddings", answers(tiny_client, EMBEDDED))
