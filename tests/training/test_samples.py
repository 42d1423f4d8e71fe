"""Conversion of lines to the tokens of serving, with loss on assistant messages only, and reasons for bad lines."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from ponant.api.chat import ChatCompletionRequest, Tool
from ponant.api.messages import Message
from ponant.prompts.answer.spec import FREE, read_answer_spec
from ponant.training.samples import BadLineError, Encoded, SampleEncoder
from tests.prompts.chat_templates import LLAMA, TAGS
from tests.soak import examples
from tests.tiny_model import write_tiny_model
from tests.training.encoders import Model

USER = {"role": "user", "content": "What is the time?"}
ANSWER = {"role": "assistant", "content": "It is noon."}
SYSTEM = {"role": "system", "content": "Be brief."}
CALL = {"id": "abcdefgh1", "type": "function", "function": {"name": "clock", "arguments": '{"zone": "UTC"}'}}
CALLING = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT = {"role": "tool", "content": "12:00", "tool_call_id": "abcdefgh1"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "clock",
            "description": "Tells the time.",
            "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
        },
    }
]


@pytest.fixture(scope="module")
def model(bundled_model: Path) -> Model:
    return Model(bundled_model)


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Model whose template writes calls."""
    path = tmp_path_factory.mktemp("models") / "hermes.gguf"
    write_tiny_model(path, chat_template=TAGS, context_length=8192)
    return Model(path)


def encode(encoder: SampleEncoder, line: object) -> Encoded:
    return encoder.encode(json.dumps(line).encode())


def chat(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": list(messages), **more}


def refused(encoder: SampleEncoder, line: object) -> str:
    with pytest.raises(BadLineError) as error:
        encode(encoder, line)
    return str(error.value)


def prompt_of(model: Model, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None) -> list[int]:
    """Return the prompt of serving for a request."""
    read: list[Message] = TypeAdapter(list[Message]).validate_python(messages)
    spec = FREE
    if tools:
        declared = TypeAdapter(list[Tool]).validate_python(tools)
        spec = read_answer_spec(ChatCompletionRequest(messages=read, tools=declared))
    return model.prompts.build(read, spec=spec).tokens


def test_answers_are_learned_with_their_end_and_nothing_else(model: Model) -> None:
    line = chat(SYSTEM, USER, ANSWER, {"role": "user", "content": "Thanks."}, {"role": "assistant", "content": "Bye."})

    (sample,) = encode(model.encoder(), line).samples

    assert model.written(sample.tokens) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWhat is the time?<|im_end|>\n"
        "<|im_start|>assistant\nIt is noon.<|im_end|>\n"
        "<|im_start|>user\nThanks.<|im_end|>\n"
        "<|im_start|>assistant\nBye.<|im_end|>"
    )
    assert model.learned(sample) == ["It is noon.<|im_end|>", "Bye.<|im_end|>"]


def test_what_comes_before_an_answer_is_the_prompt_of_serving(model: Model) -> None:
    messages = [USER, ANSWER, {"role": "user", "content": "And <|im_end|> now?"}]

    (sample,) = encode(model.encoder(), chat(*messages, {"role": "assistant", "content": "Later."})).samples

    prompt = prompt_of(model, messages)
    assert sample.tokens[: len(prompt)] == prompt
    assert sample.tokens[len(prompt) :] == [
        *model.vocabulary.tokenize("Later.", control=False),
        model.vocabulary.eos,
    ]


@pytest.mark.parametrize("tools", [None, TOOLS])
def test_calls_are_learned_in_the_form_of_the_model(caller: Model, tools: list[dict[str, Any]] | None) -> None:
    line = chat(USER, CALLING, RESULT, ANSWER) | ({"tools": tools} if tools else {})

    (sample,) = encode(caller.encoder(seq_len=4096), line).samples

    assert caller.learned(sample) == [
        '<tool_call>\n{"name": "clock", "arguments": {"zone": "UTC"}}\n</tool_call><|im_end|>',
        "It is noon.<|im_end|>",
    ]
    prompt = prompt_of(caller, [USER, CALLING, RESULT], tools)
    assert sample.tokens[: len(prompt)] == prompt
    assert ("Tells the time." in caller.written(sample.tokens)) == bool(tools)


def test_a_model_without_a_form_of_calls_learns_the_one_that_it_is_told_of(model: Model) -> None:
    (sample,) = encode(model.encoder(seq_len=4096), chat(USER, CALLING, RESULT, ANSWER, tools=TOOLS)).samples

    prompt = prompt_of(model, [USER, CALLING, RESULT], TOOLS)
    assert sample.tokens[: len(prompt)] == prompt
    assert model.learned(sample)[0].startswith('<tool_call>{"name": "clock"') or "clock" in model.learned(sample)[0]


def test_a_conversation_may_end_with_a_call(caller: Model) -> None:
    (sample,) = encode(caller.encoder(seq_len=4096), chat(USER, CALLING, tools=TOOLS)).samples

    (learned,) = caller.learned(sample)
    assert learned.endswith("</tool_call><|im_end|>")


@pytest.mark.parametrize(("weights", "learned"), [((0, 1), ["Bye.<|im_end|>"]), ((1.0, 0), ["It is noon.<|im_end|>"])])
def test_messages_of_weight_0_are_read_and_not_learned(
    model: Model, weights: tuple[float, float], learned: list[str]
) -> None:
    first, second = weights
    bye = {"role": "assistant", "content": "Bye.", "weight": second}

    (sample,) = encode(model.encoder(), chat(USER, ANSWER | {"weight": first}, USER, bye)).samples

    assert model.learned(sample) == learned
    assert sample.learned[-1]


def test_a_template_that_ends_turns_with_another_token_has_that_one_learned(tmp_path: Path) -> None:
    path = tmp_path / "llama.gguf"
    controls = {"<|start_header_id|>": "", "<|end_header_id|>": "", "<|eot_id|>": "eot"}
    write_tiny_model(path, chat_template=LLAMA, more_controls=controls)
    model = Model(path)

    (sample,) = encode(model.encoder(), chat(USER, ANSWER)).samples

    (learned,) = model.learned(sample)
    assert learned.endswith("It is noon.<|eot_id|>")


def test_a_model_without_a_template_learns_its_end_of_sequence(tmp_path: Path) -> None:
    path = tmp_path / "plain.gguf"
    write_tiny_model(path, chat_template=None)
    model = Model(path)

    encoded = encode(model.encoder(), chat(USER, ANSWER, USER, ANSWER))

    assert [model.learned(sample) for sample in encoded.samples] == [["It is noon.<|im_end|>"]] * 2


def test_turns_that_are_shown_in_another_way_later_get_samples_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "forgetful.gguf"
    forgetful = (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n"
        "{{ message.content if loop.index > loop.length - 2 else 'earlier' }}<|im_end|>\n{% endfor %}"
        "<|im_start|>assistant\n"
    )
    write_tiny_model(path, chat_template=forgetful)
    model = Model(path)

    encoded = encode(model.encoder(), chat(USER, ANSWER, USER, ANSWER))

    for sample, length in zip(encoded.samples, (1, 3), strict=True):
        prompt = prompt_of(model, [USER, ANSWER, USER][:length])
        assert sample.tokens[: len(prompt)] == prompt
        assert model.learned(sample) == ["It is noon.<|im_end|>"]


def test_a_long_conversation_is_cut_after_the_last_answer_that_fits(model: Model) -> None:
    whole = encode(model.encoder(), chat(USER, ANSWER))
    long = chat(USER, ANSWER, {"role": "user", "content": "word " * 9000}, ANSWER)

    encoded = encode(model.encoder(seq_len=len(whole.samples[0].tokens)), long)

    assert encoded.samples == whole.samples
    assert encoded.is_cut
    assert not whole.is_cut


def test_a_conversation_whose_first_answer_does_not_fit_is_refused(model: Model) -> None:
    reason = "the first answer to learn exceeds the seq_len of 20 tokens"
    assert refused(model.encoder(seq_len=20), chat(USER, {"role": "assistant", "content": "word " * 100})) == reason
    assert refused(model.encoder(seq_len=20), chat({"role": "user", "content": "x" * 10**6}, ANSWER)) == reason


BAD: dict[str, tuple[object, str]] = {
    "no object": ([1, 2], "not a JSON object"),
    "nothing known": ({"question": "?"}, "neither messages nor, for fill-in-the-middle, prompt"),
    "pre-training": ({"text": "Once upon a time"}, "plain text for pre-training is not supported"),
    "no messages": (chat(), "messages: List should have at least 1 item"),
    "messages no list": ({"messages": "hello"}, "messages: Input should be a valid list"),
    "unknown role": (chat({"role": "bot", "content": ""}), "messages[0]: Input tag 'bot'"),
    "no role": (chat({"content": ""}), "messages[0]: Unable to extract tag"),
    "unknown field": (chat(USER | {"text": ""}, ANSWER), "messages[0].text: Extra inputs are not permitted"),
    "weight of a user": (chat(USER | {"weight": 1}, ANSWER), "messages[0].weight: Extra inputs"),
    "half a weight": (chat(USER, ANSWER | {"weight": 0.5}), "messages[1].weight: must be 0 or 1"),
    "number as text": (chat(USER, {"role": "assistant", "content": 5}), "messages[1].content"),
    "no answer": (chat(USER), "there is no assistant message to learn"),
    "user last": (chat(USER, ANSWER, USER), "the last message must be the assistant's, not the user's"),
    "answer first": (chat(ANSWER), "messages[0]: an assistant message must follow one of user or tool, not first"),
    "answer after system": (chat(SYSTEM, ANSWER), "must follow one of user or tool, not after one of the system's"),
    "two answers": (chat(USER, ANSWER, ANSWER), "messages[2]: an assistant message must follow one of user or tool"),
    "nothing said": (chat(USER, {"role": "assistant"}), "messages[1]: an assistant message must have content or"),
    "a prefix": (chat(USER, ANSWER | {"prefix": True}), "prefix has no meaning in a dataset"),
    "all of weight 0": (chat(USER, ANSWER | {"weight": 0}), "no assistant message has a weight other than 0"),
    "result first": (chat(RESULT, ANSWER), "Expected first role system or user, but got tool"),
    "result of no call": (chat(USER, RESULT, ANSWER), "Unexpected role 'tool' after role 'user'"),
    "call without result": (chat(USER, CALLING, USER, ANSWER), "Not the same number of function calls and responses"),
    "wrong id": (chat(USER, CALLING, RESULT | {"tool_call_id": "abcdefgh2"}, ANSWER), "Unexpected tool call id"),
    "bad tool": (chat(USER, ANSWER, tools=[{"type": "function"}]), "tools[0].function: Field required"),
    "bad name": (
        chat(USER, ANSWER, tools=[{"type": "function", "function": {"name": "a b", "parameters": {}}}]),
        "tools[0].function.name: Function name was 'a b'",
    ),
    "an image": (
        chat({"role": "user", "content": [{"type": "image_url", "image_url": "http://x"}]}, ANSWER),
        "messages[0].content[0]: the model reads text only",
    ),
    "no FIM model": (
        {"prompt": "def f(", "suffix": "return", "completion": "):"},
        "the model does not support fill-in-the-middle",
    ),
    "half a FIM line": ({"prompt": "def f(", "suffix": "return"}, "completion: Field required"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_says_what_is_wrong(model: Model, name: str) -> None:
    line, reason = BAD[name]
    assert reason in refused(model.encoder(), line)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON: EOF while parsing"),
        (b'{"messages": [}', "not JSON"),
        (b'{"messages": NaN}', "not JSON"),
        (b"\xff\xfe{}", "not UTF-8 at byte 0"),
        ('{"messages"'.encode("utf-16"), "not UTF-8 at byte 0"),
        (b'{"messages": "\\ud800"}', "not JSON"),
        (b"[" * 100_000, "not JSON: recursion limit exceeded"),
        (b'{"messages": ' + b"[" * 200 + b"]" * 200 + b"}", "messages"),
    ],
    ids=["cut off", "no value", "no number", "other bytes", "UTF-16", "half a character", "too deep", "deep"],
)
def test_bytes_that_are_no_line_say_so(model: Model, line: bytes, reason: str) -> None:
    with pytest.raises(BadLineError, match=reason):
        model.encoder().encode(line)


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"])},
    optional={
        "content": st.text(max_size=20) | _values,
        "weight": st.sampled_from([0, 1, 1.0, 2]),
        "tool_calls": st.just([CALL]) | _values,
        "tool_call_id": st.just("abcdefgh1"),
    },
)


@settings(max_examples=examples(300), deadline=None)
@given(
    line=st.fixed_dictionaries({"messages": st.lists(_messages, max_size=6) | _values}, optional={"tools": _values})
    | _values
)
def test_whatever_a_line_holds_it_is_learned_or_refused(model: Model, line: object) -> None:
    encoder = _encoder(model)
    try:
        encoded = encode(encoder, line)
    except BadLineError as error:
        assert str(error)
        return
    for sample in encoded.samples:
        assert len(sample.tokens) == len(sample.learned) <= 512
        assert sample.learned[-1]
        assert not sample.learned[0]
        assert sample.tokens[-1] in model.vocabulary.end_tokens


_encoders: dict[int, SampleEncoder] = {}


def _encoder(model: Model) -> SampleEncoder:
    return _encoders.setdefault(id(model), model.encoder())


@settings(max_examples=examples(100), deadline=None)
@given(
    texts=st.lists(
        st.text(st.characters(codec="utf-8", max_codepoint=0x2FFF), max_size=30)
        | st.sampled_from(["<|im_end|>", "\n", " x ", "<|im_start|>"]),
        min_size=2,
        max_size=6,
    )
)
def test_every_answer_is_learned_from_the_prompt_of_serving(model: Model, texts: list[str]) -> None:
    texts = texts[: len(texts) // 2 * 2]
    messages = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(texts)]

    encoded = encode(_encoder(model), chat(*messages))

    learned = [text for sample in encoded.samples for text in model.learned(sample)]
    end = model.vocabulary.text(model.vocabulary.eos)
    written = [text.removesuffix(end).strip() for text in learned]
    assert len(learned) == len(texts) // 2
    assert all(text.endswith(end) for text in learned)
    known = [model.written(model.vocabulary.tokenize(text, control=False)) for text in texts[1::2]]
    assert written == [text.strip() for text in known]  # the vocabulary has no tokens for some control characters
    for index in range(1, len(messages), 2):
        prompt = prompt_of(model, messages[:index])
        assert any(sample.tokens[: len(prompt)] == prompt for sample in encoded.samples)


def fim_model(path: Path) -> Model:
    controls = {"<|fim_prefix|>": "fim_pre", "<|fim_suffix|>": "fim_suf", "<|fim_middle|>": "fim_mid"}
    write_tiny_model(path, more_controls=controls)
    return Model(path)


def test_filling_in_is_learned_from_the_prompt_of_serving(tmp_path: Path) -> None:
    model = fim_model(tmp_path / "fim.gguf")
    line = {"prompt": "def f(", "suffix": "    return a", "completion": "a):\n"}

    encoded = encode(model.encoder(), line)

    (sample,) = encoded.samples
    assert encoded.kind == "fim"
    assert model.learned(sample) == ["a):\n<|im_end|>"]
    prompt = model.fim.build("def f(", "    return a").tokens
    assert sample.tokens[: len(prompt)] == prompt


def test_lines_beyond_the_fim_ratio_are_learned_as_texts_that_go_on(tmp_path: Path) -> None:
    model = fim_model(tmp_path / "fim.gguf")
    lines = [{"prompt": f"f{index}(", "suffix": " return", "completion": "):"} for index in range(200)]
    encoder = model.encoder(fim_ratio=0.7, seed=1)

    learned = [model.learned(sample) for line in lines for sample in encode(encoder, line).samples]

    assert learned.count(["):<|im_end|>"]) + learned.count(["): return<|im_end|>"]) == 200
    assert 110 <= learned.count(["):<|im_end|>"]) <= 170
    assert learned == [model.learned(sample) for line in lines for sample in encode(encoder, line).samples]
