"""Requests of the soak trial: those with one right answer, and bad ones."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.chatting import CHAT, body
from tests.server.schemas import PERSON, json_schema
from tests.server.tools import BOOK, TOOLS, WEATHER

FIM = "/v1/fim/completions"
TEXT = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
TURNS = [
    {"role": "system", "content": "the user of the system and the assistant"},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "hello user"},
    {"role": "user", "content": "漢😀 and é"},
]


class Case(NamedTuple):
    """A POST request."""

    path: str
    fields: dict[str, Any]

    @property
    def streams(self) -> bool:
        """True for a streamed answer."""
        return bool(self.fields.get("stream"))


def _answers() -> Iterator[Case]:
    """Yield requests whose whole answers are the same each time."""
    yield Case(CHAT, body(max_tokens=40, min_tokens=40, random_seed=1))
    yield Case(CHAT, body("Hi there", max_tokens=60, temperature=0))
    yield Case(CHAT, body("Hi", max_tokens=40, min_tokens=40, random_seed=2, n=3))
    yield Case(CHAT, {"messages": TURNS, "max_tokens": 50, "random_seed": 3, "frequency_penalty": 0.5})
    yield Case(CHAT, body("Stop", max_tokens=60, random_seed=4, stop=["the", "zq"]))
    yield Case(CHAT, body("Score", max_tokens=12, random_seed=5, logprobs=True, top_logprobs=3))
    yield Case(CHAT, body("Long " * 60, max_tokens=30, random_seed=6))
    yield Case(CHAT, body("Guess", max_tokens=30, random_seed=7, prediction={"type": "content", "content": "the and"}))
    yield Case(CHAT, body("Person", response_format=json_schema(PERSON), max_tokens=120, random_seed=8))
    yield Case(CHAT, body("Object", response_format={"type": "json_object"}, max_tokens=60, random_seed=9))
    yield Case(CHAT, body("Weather", tools=[WEATHER], tool_choice="any", max_tokens=120, random_seed=10))
    yield Case(CHAT, body("Tools", tools=TOOLS, tool_choice="auto", max_tokens=60, random_seed=11))
    yield Case(CHAT, body("Book", tools=[BOOK], tool_choice="required", max_tokens=150, random_seed=12, n=2))
    yield Case(f"/openai{CHAT}", body("Well", max_tokens=50, seed=13))
    yield Case(FIM, {"prompt": "def", "suffix": "return", "max_tokens": 40, "min_tokens": 40, "random_seed": 14})
    yield Case(TEXT, {"prompt": ["a", "b"], "max_tokens": 30, "seed": 15})
    yield Case(TEXT, {"prompt": "the and", "max_tokens": 20, "seed": 16, "n": 2, "logprobs": 2})


STREAMING = tuple(Case(case.path, case.fields | {"stream": True}) for case in _answers())
COMPARED = (
    *_answers(),
    *STREAMING,
    Case(EMBEDDINGS, {"model": "mistral-embed", "input": ["the cat", "a dog"]}),
    Case(EMBEDDINGS, {"model": "mistral-embed", "input": ["the cat " * 40] * 20}),
)
BAD = (
    Case(CHAT, {"messages": []}),
    Case(CHAT, {"messages": [1] * 500}),
    Case(CHAT, {}),
    Case(CHAT, body(temperature=9)),
    Case(CHAT, body(max_tokens=100_000)),
    Case(CHAT, body("word " * 5000)),
    Case(CHAT, body(model="missing")),
    Case(CHAT, body(unknown_field=1)),
    Case(CHAT, body(tools=[{"type": "function", "function": {"name": "a b"}}])),
    Case(CHAT, body(response_format=json_schema({"type": "string", "pattern": "("}))),
    Case(FIM, {"suffix": 1}),
    Case(EMBEDDINGS, {"model": "mistral-embed", "input": []}),
    Case("/v1/fine_tuning/jobs", {"model": "tiny", "training_files": [{"file_id": "none"}]}),
    Case("/v1/nothing", {}),
    Case("/v1/models", {}),
)
