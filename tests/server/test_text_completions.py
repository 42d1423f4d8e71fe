"""Text completions over HTTP: log-probabilities, echoed prompts, token ids, and fields of vLLM."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ponant.engine.base import Delta, TokenLogprobs
from tests.in_process import EXACT, ScriptedServer, serving_in_process
from tests.serving import RunningServer
from tests.tiny_model import build_vocabulary, write_tiny_model

TEXT = "/v1/completions"
FIM_TOKENS = {"<|fim_prefix|>": "fim_pre", "<|fim_suffix|>": "fim_suf", "<|fim_middle|>": "fim_mid"}
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 4}
VOCABULARY = build_vocabulary()
END = VOCABULARY.id_of("<|im_end|>")
UNICORN = "🦄".encode()
FIRST, SECOND, LONE = (VOCABULARY.id_of(data) for data in ("😀".encode()[:2], "😀".encode()[2:], b"\x98"))


@pytest.fixture(scope="module")
def native_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Server with a tiny model that has FIM tokens."""
    path = tmp_path_factory.mktemp("native") / "filler.gguf"
    write_tiny_model(path, more_controls=FIM_TOKENS)
    with serving_in_process(path, **EXACT) as server:
        yield server


def complete(server: RunningServer, **fields: Any) -> dict[str, Any]:
    with server.client() as client:
        response = client.post(TEXT, json=fields)
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def streamed(server: RunningServer, **fields: Any) -> list[dict[str, Any]]:
    with server.client() as client:
        response = client.post(TEXT, json=fields | {"stream": True})
    assert response.status_code == 200, response.text
    *chunks, done, _ = response.text.split("\n\n")
    assert done == "data: [DONE]"
    return [json.loads(chunk.removeprefix("data: ")) for chunk in chunks]


def joined(chunks: list[dict[str, Any]], index: int = 0) -> dict[str, Any]:
    """Return a choice of a stream as a whole answer has it."""
    pieces = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    known = [piece["logprobs"] for piece in pieces if piece["logprobs"]]
    logprobs = {name: [entry for part in known for entry in part[name]] for name in known[0]} if known else None
    text = "".join(piece["text"] for piece in pieces)
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": pieces[-1]["finish_reason"]}


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Assert that two choices are the same but for rounding, which depends on what else is computed."""
    for name in ("text", "index", "finish_reason"):
        assert one[name] == other[name]
    for name in ("tokens", "text_offset"):
        assert one["logprobs"][name] == other["logprobs"][name]
    ours, theirs = ([value or 0.0 for value in each["logprobs"]["token_logprobs"]] for each in (one, other))
    assert ours == pytest.approx(theirs, abs=1e-4)


def refused(server: RunningServer, **fields: Any) -> dict[str, Any]:
    with server.client() as client:
        response = client.post(TEXT, json=fields)
    assert response.status_code == 400, response.text
    error: dict[str, Any] = response.json()["error"]
    return error


# Log-probabilities


def test_tokens_that_are_no_text_are_spelled_by_their_bytes_and_located_by_their_character(
    scripted_server: ScriptedServer,
) -> None:
    tokens = [VOCABULARY.id_of(bytes([byte])) for byte in UNICORN] + [FIRST, SECOND, VOCABULARY.id_of("a")]
    likely = [(LONE, -0.5), (SECOND, -1.0), (VOCABULARY.id_of("b"), -3.0)]
    known = [TokenLogprobs(-float(number), likely) for number in range(len(tokens))]
    scripted_server.engine.play(Delta(0, tokens, "length", logprobs=known))
    choice = complete(scripted_server, prompt="x", logprobs=3)["choices"][0]
    assert choice["text"] == "🦄😀a"
    logprobs = choice["logprobs"]
    assert logprobs["text_offset"] == [0, 0, 0, 0, 1, 1, 2]
    assert logprobs["tokens"][:2] + logprobs["tokens"][4:] == [
        *("bytes:\\xf0", "bytes:\\x9f", "bytes:\\xf0\\x9f", "bytes:\\x98\\x80"),
        "a",
    ]
    assert logprobs["token_logprobs"] == [-float(number) for number in range(len(tokens))]
    others = {"bytes:\\x98": -0.5, "bytes:\\x98\\x80": -1.0, "b": -3.0}
    for token, own, top in zip(*(logprobs[name] for name in ("tokens", "token_logprobs", "top_logprobs")), strict=True):
        assert top == others | ({} if token in others else {token: own})


@pytest.mark.parametrize(
    ("pieces", "text", "places"),
    [
        ([b"\xf0", b"a", b"b"], "\ufffdab", [0, 1, 2]),
        ([b"\xf0", b"\xf0", b"\xf0"], "\ufffd\ufffd", [0, 1, 2]),
        ([b"a", b"\xf0\x9f", b"c", b"\x9f"], "a\ufffdc\ufffd", [0, 1, 2, 3]),
        ([b"a", b"b", b"c", b"d", b"e"], "ab", [0, 1, 2, 2]),
        ([b"\x9f", b"\xf0", b"\x9f"], "\ufffd", [0, 1, 1]),
    ],
)
def test_places_of_tokens_are_in_the_text(
    scripted_server: ScriptedServer, pieces: list[bytes], text: str, places: list[int]
) -> None:
    tokens = [VOCABULARY.id_of(piece) for piece in pieces]
    deltas = [Delta(0, [token], logprobs=[TokenLogprobs(-1.0, [])]) for token in tokens]
    sent: dict[str, Any] = {"prompt": "x", "stop": ["cd"], "logprobs": 0}
    scripted_server.engine.play(*deltas, Delta(0, [], "length"))
    (whole,) = complete(scripted_server, **sent)["choices"]
    scripted_server.engine.play(*deltas, Delta(0, [], "length"))
    for choice in (whole, joined(streamed(scripted_server, **sent))):
        assert choice["text"] == text
        assert choice["logprobs"]["text_offset"] == places


def test_different_tokens_with_the_same_text_stay_apart(scripted_server: ScriptedServer) -> None:
    """The control token and the user's text differ, but read the same."""
    a, b = VOCABULARY.id_of("a"), VOCABULARY.id_of("b")
    pieces = scripted_server.engine._vocabulary.piece
    with pytest.MonkeyPatch.context() as patch:
        vocabulary = scripted_server.engine._vocabulary
        patch.setattr(vocabulary, "piece", lambda token: b"b" if token in (a, b, END) else pieces(token))
        likely = [(a, -0.5), (b, -1.0), (END, -2.0)]
        scripted_server.engine.play(Delta(0, [b], "length", logprobs=[TokenLogprobs(-1.0, likely)]))
        logprobs = complete(scripted_server, prompt="x", logprobs=3)["choices"][0]["logprobs"]
    assert logprobs["tokens"] == ["b"]
    assert logprobs["top_logprobs"] == [{"bytes:\\x62": -0.5, "b": -1.0, f"token_id:{END}": -2.0}]


@pytest.mark.parametrize("top", [0, 1, 5])
def test_sampled_token_is_always_among_the_likely_ones(tiny_server: RunningServer, top: int) -> None:
    fields: dict[str, Any] = {"prompt": "é漢", "logprobs": top, "temperature": 1.5, "seed": 4, "max_tokens": 40}
    (choice,) = complete(tiny_server, **fields)["choices"]
    logprobs = choice["logprobs"]
    for token, own, likely in zip(
        logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True
    ):
        assert likely[token] == own
        assert top <= len(likely) <= top + 1
        assert len(likely) == max(top, 1) or own == min(likely.values())
        assert list(likely.values()) == sorted(likely.values(), reverse=True)
    assert_same(joined(streamed(tiny_server, **fields)), choice)


def test_chat_spells_tokens_in_the_same_way_and_adds_their_ids(scripted_server: ScriptedServer) -> None:
    known = TokenLogprobs(-1.0, [(SECOND, -0.5)])
    for path, ids in (("/v1/chat/completions", True), ("/openai/v1/chat/completions", False)):
        scripted_server.engine.play(Delta(0, [FIRST], "length", logprobs=[known]))
        body = {"messages": [{"role": "user", "content": "a"}], "logprobs": True, "top_logprobs": 1}
        with scripted_server.client() as client:
            (token,) = client.post(path, json=body).json()["choices"][0]["logprobs"]["content"]
        (likely,) = token.pop("top_logprobs")
        assert [token.pop("token_id", None), likely.pop("token_id", None)] == ([FIRST, SECOND] if ids else [None] * 2)
        assert token == {"token": "bytes:\\xf0\\x9f", "logprob": -1.0, "bytes": [0xF0, 0x9F]}
        assert likely == {"token": "bytes:\\x98\\x80", "logprob": -0.5, "bytes": [0x98, 0x80]}


# Echoed prompts


def test_echoed_prompt_has_log_probabilities_even_if_it_is_cached(tiny_server: RunningServer) -> None:
    prompt = "the 😀 and " * 12
    fields: dict[str, Any] = {"prompt": prompt, "echo": True, "logprobs": 2} | GREEDY
    plain = complete(tiny_server, prompt=prompt, logprobs=2, **GREEDY)
    first, again = (complete(tiny_server, **fields) for _ in range(2))
    for response in (first, again):
        (choice,) = response["choices"]
        logprobs = choice["logprobs"]
        assert choice["text"] == prompt + plain["choices"][0]["text"]
        assert response["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
        count = response["usage"]["prompt_tokens"]
        assert len(logprobs["tokens"]) == count + 4
        assert (logprobs["token_logprobs"][0], logprobs["top_logprobs"][0]) == (None, None)
        assert all(value <= 0 for value in logprobs["token_logprobs"][1:])
        for place, token in zip(logprobs["text_offset"], logprobs["tokens"], strict=True):
            assert choice["text"].startswith(token, place) or token.startswith("bytes:")
        assert logprobs["tokens"][count:] == plain["choices"][0]["logprobs"]["tokens"]
    assert_same(first["choices"][0], again["choices"][0])
    assert_same(joined(streamed(tiny_server, **fields)), first["choices"][0])


def test_several_choices_of_several_prompts_are_echoed(tiny_server: RunningServer) -> None:
    prompts = ["One and", "Two of the"]
    fields: dict[str, Any] = {"prompt": prompts, "echo": True, "logprobs": 0, "n": 2, "seed": 1, "max_tokens": 3}
    whole = complete(tiny_server, **fields)["choices"]
    chunks = streamed(tiny_server, **fields)
    for index, choice in enumerate(whole):
        assert choice["text"].startswith(prompts[index // 2])
        assert choice["logprobs"]["token_logprobs"][0] is None
        assert all(value is not None for value in choice["logprobs"]["token_logprobs"][1:])
        assert_same(joined(chunks, index), choice)
    alone = complete(tiny_server, **fields | {"prompt": prompts[1], "n": 1})["choices"][0]
    assert_same(whole[2], alone | {"index": 2})


@pytest.mark.parametrize("stream", [False, True])
def test_prompt_is_scored_without_a_completion(tiny_server: RunningServer, stream: bool) -> None:
    fields: dict[str, Any] = {"prompt": ["the and", "a"], "echo": True, "logprobs": 1, "max_tokens": 0}
    if stream:
        chunks = streamed(tiny_server, **fields)
        choices = [joined(chunks, index) for index in range(2)]
    else:
        choices = complete(tiny_server, **fields)["choices"]
    assert [(choice["text"], choice["finish_reason"]) for choice in choices] == [("the and", "length"), ("a", "length")]
    assert [len(choice["logprobs"]["tokens"]) for choice in choices] == [2, 1]


@pytest.mark.parametrize("stream", [False, True])
def test_token_that_ends_a_scored_text_has_an_entry(native_server: RunningServer, stream: bool) -> None:
    """Evaluation tools take the last entry for the generated token, whatever it is."""
    for text in ("<|im_end|>", "<|fim_suffix|>"):
        token = str(build_vocabulary(tuple(FIM_TOKENS)).id_of(text))
        fields: dict[str, Any] = {"prompt": "a and", "logprobs": 1, "max_tokens": 1, "logit_bias": {token: 100}}
        if stream:
            choice = joined(streamed(native_server, echo=True, **fields))
        else:
            response = complete(native_server, echo=True, **fields)
            choice = response["choices"][0]
            assert response["usage"]["completion_tokens"] == 0
        assert (choice["text"], choice["finish_reason"]) == ("a and", "stop")
        assert choice["logprobs"]["tokens"] == ["a", " and", text]
        assert choice["logprobs"]["text_offset"] == [0, 1, 5]
        plain = complete(native_server, **fields)["choices"][0]["logprobs"]
        assert plain is None or plain["tokens"] == []


def test_echo_alone_needs_no_computation_of_the_prompt(scripted_server: ScriptedServer) -> None:
    assert complete(scripted_server, prompt="a", echo=True, suffix="b")["choices"][0]["text"].startswith("a")
    assert complete(scripted_server, prompt="a", echo=True)["choices"][0]["text"] == "aHello world"
    assert scripted_server.engine.requests[-1].prompt_logprobs is None


# Prompts


def test_token_ids_are_taken_as_they_are(tiny_server: RunningServer) -> None:
    tokens = [VOCABULARY.id_of(text) for text in ("<|im_start|>", "user", "é", "a")]
    (one,) = complete(tiny_server, prompt=tokens, echo=True, logprobs=0, **GREEDY)["choices"]
    assert one["text"].startswith("<|im_start|>useréa")
    assert one["logprobs"]["tokens"][:4] == ["<|im_start|>", "user", "é", "a"]
    assert one["logprobs"]["text_offset"][:5] == [0, 12, 16, 17, 18]
    several = complete(tiny_server, prompt=[tokens, [65]], **GREEDY)
    assert several["usage"]["prompt_tokens"] == len(tokens) + 1
    assert one["text"].endswith(several["choices"][0]["text"])
    text = complete(tiny_server, prompt="A", **GREEDY)
    assert text["choices"][0]["text"] == several["choices"][1]["text"]


@pytest.mark.parametrize("fields", [{}, {"prompt": None}, {"prompt": ""}, {"prompt": [""]}, {"prompt": [[]]}])
def test_without_a_prompt_a_text_is_written_from_its_beginning(
    tiny_server: RunningServer, fields: dict[str, Any]
) -> None:
    (choice,) = complete(tiny_server, echo=True, logprobs=0, **fields, **GREEDY)["choices"]
    assert choice["logprobs"]["tokens"][0] == "<|endoftext|>"
    assert choice["logprobs"]["text_offset"][:2] == [0, 0]
    expected = complete(tiny_server, prompt=[VOCABULARY.id_of("<|endoftext|>")], **GREEDY)
    assert choice["text"] == expected["choices"][0]["text"]


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"prompt": []}, "prompt", "at least 1"),
        ({"prompt": [len(VOCABULARY.tokens)]}, "prompt", f"token ids are 0 to {len(VOCABULARY.tokens) - 1}"),
        ({"prompt": [[1], [-1]]}, "prompt[1]", "greater than or equal to 0"),
        ({"prompt": [1, "a"]}, "prompt[0]", "valid string"),
        ({"prompt": [True]}, "prompt[0]", "valid string"),
        ({"prompt": list(range(3, 200)) * 5}, "prompt", "tokens"),
        ({"prompt": [1], "suffix": "b"}, "suffix", "token ids"),
        ({"prompt": "a", "suffix": "b", "echo": True, "logprobs": 1}, "echo", "suffix"),
        ({"prompt": "a", "echo": "yes"}, "echo", "boolean"),
        ({"prompt": "a", "logit_bias": {"1": 101}}, "logit_bias.1", "less than or equal to 100"),
        ({"prompt": "a", "logit_bias": {"one": 1}}, "logit_bias", "must be token ids"),
        ({"prompt": "a", "logit_bias": {"-1": 1}}, "logit_bias", "must be token ids"),
        ({"prompt": "a", "logit_bias": {"99999": 1}}, "logit_bias", "token ids are 0 to"),
    ],
)
def test_bad_requests_are_refused_by_name(
    tiny_server: RunningServer, fields: dict[str, Any], param: str, words: str
) -> None:
    error = refused(tiny_server, **fields)
    assert error["param"] == param
    assert words in error["message"]
    assert "Value error" not in error["message"]


# Biases, ends and usage


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (TEXT, {"prompt": "a"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]}),
        ("/openai/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]}),
        ("/nim/v1/chat/completions", {"model": "tiny", "messages": [{"role": "user", "content": "a"}]}),
    ],
)
def test_biases_and_ignored_ends_work_in_every_dialect_of_openai(
    tiny_server: RunningServer, path: str, fields: dict[str, Any]
) -> None:
    bias = {str(VOCABULARY.id_of(text)): 100 for text in ("P", "Q")}
    body: dict[str, Any] = fields | {"max_tokens": 8, "n": 2, "temperature": 1.0}
    with tiny_server.client() as client:
        choices = client.post(path, json=body | {"logit_bias": bias}).json()["choices"]
        ended = client.post(path, json=body | {"logit_bias": {str(END): 100}}).json()
        endless = client.post(path, json=body | {"logit_bias": {str(END): 100}, "ignore_eos": True}).json()
    for choice in choices:
        text = choice["text"] if path == TEXT else choice["message"]["content"]
        assert len(text) == 8
        assert set(text) <= {"P", "Q"}
    assert {choice["finish_reason"] for choice in ended["choices"]} == {"stop"}
    assert ended["usage"]["completion_tokens"] == 0
    assert {choice["finish_reason"] for choice in endless["choices"]} == {"length"}
    assert endless["usage"]["completion_tokens"] == 16


def test_stop_strings_end_what_ignores_the_end(tiny_server: RunningServer) -> None:
    fields: dict[str, Any] = {"prompt": "a", "ignore_eos": True, "max_tokens": 30, "seed": 2}
    text = complete(tiny_server, **fields)["choices"][0]["text"]
    (choice,) = complete(tiny_server, **fields, stop=text[4:7])["choices"]
    assert (choice["text"], choice["finish_reason"]) == (text[: text.index(text[4:7])], "stop")


def test_biased_grammar_stays_a_grammar(tiny_server: RunningServer) -> None:
    body = {
        "messages": [{"role": "user", "content": "a"}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "string", "enum": ["PPP", "QQQ"]}},
        },
        "logit_bias": {str(VOCABULARY.id_of("Q")): -100, str(VOCABULARY.id_of("the")): 100},
        "seed": 3,
    }
    with tiny_server.client() as client:
        (choice,) = client.post("/v1/chat/completions", json=body).json()["choices"]
    assert json.loads(choice["message"]["content"]) == "PPP"


@pytest.mark.parametrize(
    "options", [{"continuous_usage_stats": True}, {"continuous_usage_stats": True, "include_usage": True}]
)
def test_usage_so_far_is_in_every_event(tiny_server: RunningServer, options: dict[str, bool]) -> None:
    chunks = streamed(tiny_server, prompt=["a", "b"], n=2, ignore_eos=True, max_tokens=5, stream_options=options)
    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert counts == sorted(counts)
    assert counts[-1] == 20
    assert (not chunks[-1]["choices"]) is ("include_usage" in options)
    assert sum(not chunk["choices"] for chunk in chunks) == ("include_usage" in options)


def test_prompt_logprobs_of_a_conversation(tiny_server: RunningServer) -> None:
    body = {
        "messages": [{"role": "user", "content": "Hello é"}],
        "prompt_logprobs": True,
        "top_prompt_logprobs": 2,
        "n": 2,
        "max_tokens": 3,
    }
    with tiny_server.client() as client:
        whole = client.post("/v1/chat/completions", json=body).json()
        assert client.post("/openai/v1/chat/completions", json=body).json()["choices"][0]["prompt_logprobs"]
        response = client.post("/v1/chat/completions", json=body | {"stream": True})
        refusal = client.post("/v1/chat/completions", json=body | {"prompt_logprobs": False})
    first = json.loads(response.text.split("\n\n")[0].removeprefix("data: "))
    for choice, begun in zip(whole["choices"], first["choices"], strict=True):
        content = choice["prompt_logprobs"]["content"]
        assert "logprobs" not in choice
        assert len(content) == whole["usage"]["prompt_tokens"] - 1
        assert content[0].keys() == {"token", "logprob", "bytes", "token_id", "top_logprobs"}
        assert "".join(token["token"] for token in content).startswith("user\nHello é<|im_end|>")
        assert all(len(token["top_logprobs"]) == 2 for token in content)
        streamed_tokens = begun["prompt_logprobs"]["content"]
        assert [token["token_id"] for token in streamed_tokens] == [token["token_id"] for token in content]
        told = [token["logprob"] for token in content]
        assert [token["logprob"] for token in streamed_tokens] == pytest.approx(told, abs=1e-4)
    assert response.text.count("prompt_logprobs") == 2
    assert "top_prompt_logprobs requires" in refusal.json()["message"]
