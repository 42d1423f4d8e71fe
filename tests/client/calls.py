"""Calls that all clients make in the same way: operations and parameters by name. Imports no client."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MODEL = "tiny"
USER = {"role": "user", "content": "Tell me a story."}
CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "One?"}, {"type": "text", "text": "Two?"}]},
    {"role": "assistant", "content": "Three."},
    {"role": "user", "content": "Four?"},
]
TOOL_USE = [
    USER,
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "abc123def", "function": {"name": "look", "arguments": '{"at": "it"}'}}],
    },
    {"role": "tool", "tool_call_id": "abc123def", "name": "look", "content": "seen"},
]


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [USER], "max_tokens": 6, "temperature": 0.0} | fields


CHATS: dict[str, dict[str, Any]] = {
    "greedy": chat(),
    "seeded": chat(temperature=1.0, random_seed=7),
    "several answers": chat(temperature=1.0, random_seed=7, n=3),
    "a stop text": chat(stop="e", max_tokens=30),
    "stop texts": chat(stop=["never to be found", "e"], max_tokens=30),
    "a conversation": chat(messages=CONVERSATION),
    "tool use": chat(messages=TOOL_USE),
    "a prefix": chat(messages=[USER, {"role": "assistant", "content": "Once", "prefix": True}]),
    "nulls where they may be": chat(random_seed=None, n=None, metadata=None, tools=None, prompt_mode=None),
    "everything else": chat(
        top_p=0.9,
        presence_penalty=0.5,
        frequency_penalty=0.25,
        safe_prompt=True,
        metadata={"why": "because"},
        response_format={"type": "text"},
        tool_choice="auto",
        parallel_tool_calls=True,
        prediction={"type": "content", "content": "A story."},
    ),
    "another name": chat(model="mistral-large-latest"),
    "no tokens": chat(max_tokens=0),
    "an unknown model": chat(model="no-such-model"),
    "a value out of range": chat(temperature=7.0),
    "two values out of range": chat(temperature=7.0, top_p=-1.0),
    "no messages": chat(messages=[]),
    "a conversation that ends wrongly": chat(messages=[USER, {"role": "assistant", "content": "No."}]),
    "more than the context": chat(max_tokens=100_000),
}


def fill(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "prompt": "Once upon", "suffix": "a time.", "max_tokens": 6, "temperature": 0.0} | fields


FILLINGS: dict[str, dict[str, Any]] = {
    "greedy": fill(),
    "seeded": fill(temperature=1.0, random_seed=7, min_tokens=6),
    "no suffix": {"model": MODEL, "prompt": "Once upon", "max_tokens": 6, "temperature": 0.0},
    "an empty suffix": fill(suffix=""),
    "a stop text": fill(suffix="", stop="e", max_tokens=30),
    "stop texts": fill(suffix="", stop=["never to be found", "e"], max_tokens=30),
    "nulls where they may be": fill(suffix=None, random_seed=None, metadata=None, min_tokens=None),
    "everything else": fill(top_p=0.9, metadata={"why": "because"}),
    "another name": fill(model="codestral-latest"),
    "no tokens": fill(max_tokens=0),
    "an unknown model": fill(model="no-such-model"),
    "a value out of range": fill(temperature=7.0),
    "two values out of range": fill(temperature=7.0, top_p=-1.0),
    "nothing to go on from": fill(prompt="", suffix=""),
    "more than the context": fill(max_tokens=100_000),
}

EMBEDDER = "tiny-embedder"


def embed(**fields: Any) -> dict[str, Any]:
    return {"model": EMBEDDER, "inputs": ["the cat sleeps", "a dog"]} | fields


EMBEDDINGS: dict[str, dict[str, Any]] = {
    "texts": embed(),
    "one text": embed(inputs="the cat"),
    "fewer dimensions": embed(output_dimension=8),
    "small numbers": embed(output_dtype="int8"),
    "bits": embed(output_dtype="ubinary", encoding_format="float"),
    "nulls where they may be": embed(metadata=None, output_dimension=None),
    "everything": embed(metadata={"why": "because"}, output_dimension=8, output_dtype="float"),
    "another name": embed(model="mistral-embed"),
    "an unknown model": embed(model="no-such-model"),
    "a model that chats": embed(model=MODEL),
    "no texts": embed(inputs=[]),
    "an empty text": embed(inputs=["a", ""]),
    "more than the context": embed(inputs="a " * 100),
    "a NUL character": embed(inputs="a\0b"),
    "no dimensions": embed(output_dimension=0),
    "too many dimensions": embed(output_dimension=1000),
}

CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"complete: {name}": ("chat.complete", fields) for name, fields in CHATS.items()},
    **{f"stream: {name}": ("chat.stream", fields) for name, fields in CHATS.items()},
    **{f"complete: filling, {name}": ("fim.complete", fields) for name, fields in FILLINGS.items()},
    **{f"stream: filling, {name}": ("fim.stream", fields) for name, fields in FILLINGS.items()},
    **{f"embed: {name}": ("embeddings.create", fields) for name, fields in EMBEDDINGS.items()},
    "complete: with stream given": ("chat.complete", chat(stream=False)),
    "stream: with stream given": ("chat.stream", chat(stream=True)),
    "models": ("models.list", {}),
    "a model": ("models.retrieve", {"model_id": MODEL}),
    "a model of another name": ("models.retrieve", {"model_id": "mistral-small-latest"}),
    "a model that there is not": ("models.retrieve", {"model_id": "no/such model"}),
    "deleting a base model": ("models.delete", {"model_id": MODEL}),
    "deleting a model that there is not": ("models.delete", {"model_id": "no/such model"}),
    "no server listens": ("models.list", {"server_url": "http://127.0.0.1:9"}),
}

LINES = b'{"messages": [{"role": "user", "content": "Hi"}]}\n' * 3
NO_FILE = "00000000-0000-4000-8000-000000000000"
UPLOADS: dict[str, dict[str, Any]] = {
    "a dataset": {"file": {"file_name": "train.jsonl", "content": LINES}, "purpose": "fine-tune"},
    "no purpose": {"file": {"file_name": "train.jsonl", "content": LINES}},
    "texts": {"file": {"file_name": "texts.jsonl", "content": b'{"text": "Hi"}'}, "purpose": "fine-tune"},
    "requests": {"file": {"file_name": "Anfragen für später.jsonl", "content": b"{}\n{}"}, "purpose": "batch"},
    "a document": {"file": {"file_name": "page.pdf", "content": b"%PDF \xff", "content_type": "application/pdf"}}
    | {"purpose": "ocr"},
    "lines that are none": {"file": {"file_name": "train.jsonl", "content": LINES + b"{"}, "purpose": "fine-tune"},
    "nothing": {"file": {"file_name": "train.jsonl", "content": b""}, "purpose": "fine-tune"},
    "a name with a folder": {"file": {"file_name": "../train.jsonl", "content": LINES}, "purpose": "fine-tune"},
}
LISTS: dict[str, dict[str, Any]] = {
    "a page": {"page": 0, "page_size": 2},
    "the next page": {"page": 1, "page_size": 2},
    "no total": {"include_total": False},
    "kinds": {"sample_type": ["pretrain", "batch_request"], "source": ["upload"]},
    "a purpose": {"purpose": "ocr"},
    "a name": {"search": "TRAIN"},
    "types": {"mimetypes": ["application/pdf", "text/none"]},
    "nulls": {"sample_type": None, "source": None, "search": None, "purpose": None},
    "no such page": {"page": -1},
}
Ask = Callable[..., Any]
"""Function that calls an operation and returns its result as JSON, or {"error": ...}."""


def files(ask: Ask) -> Iterator[Any]:
    """Upload, read and delete files, and return the results. No file remains."""
    uploaded = [ask("files.upload", **fields) for fields in UPLOADS.values()]
    yield from uploaded
    with tempfile.NamedTemporaryFile() as written, Path(written.name).open("rb") as file:
        written.write(LINES * 10_000)
        written.flush()
        uploaded.append(ask("files.upload", file={"file_name": "opened.jsonl", "content": file}))
    yield uploaded[-1]
    for fields in LISTS.values():
        yield ask("files.list", **fields)
    for file_id in [*(file["id"] for file in uploaded if "id" in file), NO_FILE]:
        yield ask("files.retrieve", file_id=file_id)
        yield ask("files.download", file_id=file_id)
        signed = ask("files.get_signed_url", file_id=file_id, expiry=1)
        yield "signed" in signed["url"] if "url" in signed else signed
        yield ask("files.get_signed_url", file_id=file_id, expiry=1000)
        yield ask("files.delete", file_id=file_id)
    yield ask("files.list")


def parameters(call: str) -> dict[str, Any]:
    """Return the parameters of a call with the types of this client."""
    return dict(CALLS[call][1])


def comparable(value: Any) -> Any:
    """Return a result without nulls and without values that differ between calls."""
    if isinstance(value, dict):
        varying = {"num_cached_tokens", "cached_tokens"} | (
            {"id", "created"} if "choices" in value or "data" in value else set()
        )
        varying |= {"id", "created_at"} if value.get("object") == "file" else set()
        return {key: comparable(part) for key, part in value.items() if part is not None and key not in varying}
    return [comparable(part) for part in value] if isinstance(value, list) else value


def joined(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Join the events of a stream into one, because the tokens per event vary."""
    chunks = [event["data"] for event in events]
    texts: dict[str, str] = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        texts[str(choice["index"])] = texts.get(str(choice["index"]), "") + choice["delta"].pop("content")
    return {"first": comparable(chunks[0]), "last": comparable(chunks[-1]), "texts": texts}
