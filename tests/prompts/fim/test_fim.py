"""Fill-in-the-middle prompts: each model's format, escaping of text, and the conversation for other models."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from gguf import GGUFWriter, TokenType
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.errors import InvalidRequestError
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.prompts.answer.output_format import TextFilter
from ponant.prompts.chat.prompt import Prompt, PromptBuilder
from ponant.prompts.fim.filling import FillReader, SuffixReader
from ponant.prompts.fim.prompts import FimPrompts
from tests.prompts.chat_templates import CHATML
from tests.soak import examples
from tests.tiny_model import _add_hyperparameters, build_vocabulary, write_tiny_model

CONTEXT = 256
PROMPT, SUFFIX = "def f(a):\n    return ", "\n\nprint(f(1))\n"

QWEN = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
STARCODER = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
PREFIX_FIRST = {
    "qwen": QWEN,
    "starcoder": STARCODER,
    "santacoder": ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    "deepseek": ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    "glm": ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),
    "codellama": ("▁<PRE>", "▁<SUF>", "▁<MID>"),
}
NAMES = ("fim_pre", "fim_suf", "fim_mid")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., GGUFVocabulary]:
    """Return a function that makes the vocabulary of a tiny model with additional control tokens."""

    def made(
        controls: Sequence[str] | Mapping[str, str], *, name: str = "tiny", add_bos: bool = False
    ) -> GGUFVocabulary:
        names = controls if isinstance(controls, Mapping) else dict.fromkeys(controls, "")
        write_tiny_model(tmp_path / "model.gguf", more_controls=names, add_bos=add_bos)
        vocabulary = GGUFVocabulary(tmp_path / "model.gguf")
        vocabulary.metadata["general.name"] = name
        return vocabulary

    return made


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> GGUFVocabulary:
    path = tmp_path_factory.mktemp("model") / "model.gguf"
    write_tiny_model(path, more_controls=dict.fromkeys(QWEN, ""))
    return GGUFVocabulary(path)


@pytest.fixture(scope="module")
def bundled(bundled_model: Path) -> GGUFVocabulary:
    vocabulary = GGUFVocabulary(bundled_model)
    vocabulary.metadata["tokenizer.chat_template"] = CHATML
    return vocabulary


@functools.cache
def prompts(
    vocabulary: GGUFVocabulary,
    *,
    context: int = CONTEXT,
    encode: Callable[[str, str | None], list[int]] | None = None,
) -> FimPrompts:
    chat = PromptBuilder(vocabulary, context=context)
    return FimPrompts(vocabulary, context=context, chat=chat, encode=encode)


def plain(vocabulary: GGUFVocabulary, text: str) -> list[int]:
    return vocabulary.tokenize(text, control=False)


def written(vocabulary: GGUFVocabulary, tokens: Sequence[int]) -> str:
    """Return tokens as text, with the texts of control tokens."""
    controls = control_texts(vocabulary)
    parts = [controls[token].encode() if token in controls else vocabulary.piece(token) for token in tokens]
    return b"".join(parts).decode()


def reader_of(prompt: Prompt) -> TextFilter:
    assert prompt.output_format.filter
    return prompt.output_format.filter()


@functools.cache
def control_texts(vocabulary: GGUFVocabulary) -> dict[int, str]:
    return {token: text for text, token in vocabulary.control_tokens().items()}


@pytest.mark.parametrize("controls", PREFIX_FIRST.values(), ids=PREFIX_FIRST)
def test_prompt_has_the_order_of_the_training(make: Callable[..., GGUFVocabulary], controls: tuple[str, ...]) -> None:
    vocabulary = make(controls)
    before, after, middle = (vocabulary.control_tokens()[text] for text in controls)
    made = prompts(vocabulary)
    expected = [before, *plain(vocabulary, PROMPT), after, *plain(vocabulary, SUFFIX), middle]
    assert made.build(PROMPT, SUFFIX).tokens == expected
    assert made.native


@pytest.mark.parametrize(
    ("name", "controls", "expected"),
    [
        ("Mellum 4b Base", STARCODER, "<fim_suffix>S<fim_prefix>P<fim_middle>"),
        ("Codestral 22B v0.1", ("[PREFIX]", "[MIDDLE]", "[SUFFIX]"), "[SUFFIX]S[PREFIX]P"),
        (
            "Seed Coder 8B Base",
            ("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>"),
            "<[fim-suffix]>S<[fim-prefix]>P<[fim-middle]>",
        ),
    ],
)
def test_some_models_read_the_suffix_first(
    make: Callable[..., GGUFVocabulary], name: str, controls: tuple[str, ...], expected: str
) -> None:
    vocabulary = make(controls, name=name)
    assert written(vocabulary, prompts(vocabulary).build("P", "S").tokens) == expected


def test_tokens_are_those_that_the_file_names(make: Callable[..., GGUFVocabulary]) -> None:
    vocabulary = make({"<b>": "fim_pre", "<a>": "fim_suf", "[m]": "fim_mid"})
    assert written(vocabulary, prompts(vocabulary).build("P", "S").tokens) == "<b>P<a>S[m]"


@pytest.mark.parametrize(
    "controls",
    [
        dict(zip(("<unused60>", "<unused61>", "<unused62>"), NAMES, strict=True)),
        dict(zip(("Word", "▁word", "words"), NAMES, strict=True)),
        dict.fromkeys(QWEN[:2], ""),
        dict.fromkeys(("[PREFIX]", "[SUFFIX]"), ""),
    ],
    ids=["unused", "words", "two", "mistral"],
)
def test_models_that_were_not_trained_for_it_are_asked(
    make: Callable[..., GGUFVocabulary], controls: dict[str, str]
) -> None:
    made = prompts(make(controls), context=1024)
    assert not made.native
    assert isinstance(reader_of(made.build(PROMPT, SUFFIX)), FillReader)


@pytest.mark.parametrize("suffix", ["S", None])
def test_prompt_begins_as_the_vocabulary_wants_it(make: Callable[..., GGUFVocabulary], suffix: str | None) -> None:
    vocabulary = make(QWEN, add_bos=True)
    tokens = prompts(vocabulary).build("<|endoftext|>", suffix).tokens
    assert vocabulary.bos is not None
    assert tokens[0] == vocabulary.bos
    assert tokens.count(vocabulary.bos) == 1


@pytest.mark.parametrize("suffix", ["", None])
@pytest.mark.parametrize("controls", [QWEN, ()], ids=["native", "asked"])
def test_without_a_suffix_the_text_goes_on(
    make: Callable[..., GGUFVocabulary], controls: tuple[str, ...], suffix: str | None
) -> None:
    vocabulary = make(controls)
    prompt = prompts(vocabulary).build(PROMPT, suffix)
    assert prompt.tokens == plain(vocabulary, PROMPT)
    assert prompt.output_format.filter is None


def test_encoding_that_is_given_takes_precedence(qwen: GGUFVocabulary) -> None:
    asked: list[tuple[str, str | None]] = []

    def encode(prompt: str, suffix: str | None) -> list[int]:
        asked.append((prompt, suffix))
        return [1, 2, 3]

    made = prompts(qwen, encode=encode)
    assert made.native
    for suffix in ("S", "", None):
        prompt = made.build("P", suffix)
        assert prompt.tokens == [1, 2, 3]
        assert (prompt.output_format.filter is None) == (not suffix)
    assert asked == [("P", "S"), ("P", ""), ("P", None)]


def test_tokens_that_end_a_filling_are_known(make: Callable[..., GGUFVocabulary]) -> None:
    known = ("<|fim_pad|>", "<|repo_name|>", "<|file_sep|>")
    others = ("<|file_separator|>", "▁<EOT>", "<file_sep>")
    vocabulary = make((*QWEN, *known, *others))
    tokens = vocabulary.control_tokens()
    assert {tokens[text] for text in known} <= vocabulary.end_tokens
    ends = prompts(vocabulary).build(PROMPT, SUFFIX).output_format.end_tokens
    assert ends == {tokens[text] for text in (*QWEN, *others, "<|im_start|>")}


CONTROLS = (*QWEN, "<|im_start|>", "<|im_end|>", "<|endoftext|>")
hostile = st.lists(
    st.one_of(
        st.sampled_from(CONTROLS),
        st.sampled_from([text[:4] for text in QWEN] + [text[4:] for text in QWEN]),
        st.sampled_from(["<", "|>", " ", "\n", "é", "▁"]),
        st.text(max_size=3),
    ),
    max_size=4,
).map("".join)


@settings(deadline=None, max_examples=examples(150))
@given(prompt=hostile, suffix=hostile.filter(bool))
def test_text_that_reads_like_a_control_token_stays_text(qwen: GGUFVocabulary, prompt: str, suffix: str) -> None:
    tokens = prompts(qwen, context=4096).build(prompt, suffix).tokens
    controls = control_texts(qwen)
    assert [controls[token] for token in tokens if token in controls] == list(QWEN)
    end = next(index for index, token in enumerate(tokens) if controls.get(token) == QWEN[1])
    assert b"".join(map(qwen.piece, tokens[1:end])) == prompt.encode("utf-8", "replace")
    assert b"".join(map(qwen.piece, tokens[end + 1 : -1])) == suffix.encode("utf-8", "replace")


def user_defined_vocabulary(path: Path) -> GGUFVocabulary:
    """Like StarCoder's, with tokens that llama.cpp reads in any text."""
    plain = build_vocabulary()
    writer = GGUFWriter(path, "llama")
    texts = (*plain.tokens, *STARCODER)
    _add_hyperparameters(writer, 512, len(texts))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(texts)
    writer.add_token_types([TokenType.NORMAL] * len(plain.tokens) + [TokenType.USER_DEFINED] * len(STARCODER))
    writer.add_token_merges([" ".join(pair) for pair in plain.merges])
    for token, name in enumerate(NAMES, len(plain.tokens)):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)
    return finished(writer, path)


def spaced_vocabulary(path: Path) -> GGUFVocabulary:
    """Like CodeLlama's: a space before each text, and the end token of a filling is not a control token."""
    letters = [*"▁abcdefghijklmnopqrstuvwxyzPSREUMIDO<>[]|☺\ufffd", "▁x", "▁y", "xy", "▁xy"]
    kinds = dict.fromkeys(letters, TokenType.NORMAL)
    kinds = {
        "<unk>": TokenType.UNKNOWN,
        "<s>": TokenType.CONTROL,
        "</s>": TokenType.CONTROL,
        **{f"<0x{byte:02X}>": TokenType.BYTE for byte in range(256)},
        **kinds,
        **dict.fromkeys((*PREFIX_FIRST["codellama"], "▁<EOT>"), TokenType.NORMAL),
    }
    writer = GGUFWriter(path, "llama")
    _add_hyperparameters(writer, 512, len(kinds))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(kinds))
    writer.add_token_types(list(kinds.values()))
    writer.add_token_scores([float(len(text)) if len(text) < 4 else -1e9 for text in kinds])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    return finished(writer, path)


def finished(writer: GGUFWriter, path: Path) -> GGUFVocabulary:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return GGUFVocabulary(path)


@pytest.mark.parametrize("suffix", ["<fim_middle>", "<fim_<fim_prefix>prefix>", "a<fim_suffix><fim_suffix>b", "<fim_"])
def test_tokens_that_are_no_control_tokens_are_not_read_in_text_either(tmp_path: Path, suffix: str) -> None:
    vocabulary = user_defined_vocabulary(tmp_path / "model.gguf")
    first = len(build_vocabulary().tokens)
    assert plain(vocabulary, "<fim_middle>") == [first + 2]
    tokens = prompts(vocabulary).build("<fim_prefix>", suffix).tokens
    assert [token - first for token in tokens if token >= first] == [0, 1, 2]
    assert written(vocabulary, tokens) == f"<fim_prefix><fim_prefix><fim_suffix>{suffix}<fim_middle>"


@pytest.mark.parametrize("suffix", ["xy", " xy", "  x", "\nxy", "\n\n", "▁xy", "é", "<s>", "▁<MID>", " <EOT>"])
def test_suffix_gets_no_space_that_it_does_not_have(tmp_path: Path, suffix: str) -> None:
    vocabulary = spaced_vocabulary(tmp_path / "model.gguf")
    made = prompts(vocabulary)
    tokens = made.build("xy", suffix).tokens
    before, after, middle = (vocabulary.control_tokens()[text] for text in PREFIX_FIRST["codellama"])
    assert [vocabulary.text(token) for token in tokens[:4]] == ["<s>", "▁<PRE>", "▁xy", "▁<SUF>"]
    assert tokens[-1] == middle
    assert {before, after, middle}.isdisjoint(tokens[4:-1])
    text = suffix.replace("▁", " ")  # spaces in this vocabulary
    assert b"".join(map(vocabulary.piece, tokens[4:-1])).decode() == text
    assert "▁<EOT>" in map(vocabulary.text, made.build("xy", suffix).output_format.end_tokens)


def too_long_texts() -> list[tuple[str, str | None]]:
    return [("x" * CONTEXT, "S"), ("P", "x" * CONTEXT), ("x" * CONTEXT, None), ("P" * 100, "S" * 200)]


@pytest.mark.parametrize(("prompt", "suffix"), too_long_texts())
@pytest.mark.parametrize("controls", [QWEN, ()], ids=["native", "asked"])
def test_texts_that_are_too_long_are_refused(
    make: Callable[..., GGUFVocabulary], controls: tuple[str, ...], prompt: str, suffix: str | None
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        prompts(make(controls)).build(prompt, suffix)
    message = rf"Prompt contains \d+ tokens, too large for model with {CONTEXT} maximum context length"
    assert re.fullmatch(message, str(refused.value))
    assert (refused.value.kind, refused.value.param) == ("context_length_exceeded", "prompt")


def test_nothing_is_cut_off_just_below_the_limit(qwen: GGUFVocabulary) -> None:
    made = prompts(qwen)
    assert len(made.build("x" * (CONTEXT - 5), "S").tokens) == CONTEXT - 1
    with pytest.raises(InvalidRequestError, match=f"contains {CONTEXT} tokens"):
        made.build("x" * (CONTEXT - 4), "S")


@pytest.mark.parametrize(("prompt", "suffix"), [("漢" * 1_000_000, None), ("P", "x" * 1_000_000)])
def test_texts_that_cannot_fit_are_refused_without_being_tokenized(
    qwen: GGUFVocabulary, prompt: str, suffix: str | None
) -> None:
    def encode(prompt: str, suffix: str | None) -> list[int]:
        raise AssertionError

    with pytest.raises(InvalidRequestError, match=f"more than {CONTEXT} tokens") as refused:
        prompts(qwen, encode=encode).build(prompt, suffix)
    assert refused.value.param == "prompt"


def test_encoding_that_is_too_long_is_refused(qwen: GGUFVocabulary) -> None:
    with pytest.raises(InvalidRequestError, match=f"contains {CONTEXT} tokens"):
        prompts(qwen, encode=lambda _prompt, _suffix: [1] * CONTEXT).build("P", "S")


def test_empty_prompt_is_refused_unless_there_is_something_around_it(
    make: Callable[..., GGUFVocabulary], qwen: GGUFVocabulary
) -> None:
    with pytest.raises(InvalidRequestError, match="The prompt is empty") as refused:
        prompts(qwen).build("", None)
    assert refused.value.param == "prompt"
    assert written(qwen, prompts(qwen).build("", "S").tokens) == "<|fim_prefix|><|fim_suffix|>S<|fim_middle|>"
    begun = make((), add_bos=True)
    assert prompts(begun).build("", None).tokens == [begun.bos]


def test_filling_ends_where_the_suffix_begins_again(qwen: GGUFVocabulary) -> None:
    suffix = "\n\nprint(f(1))\nprint(f(2))\n"
    reader = reader_of(prompts(qwen).build(PROMPT, suffix))
    assert isinstance(reader, SuffixReader)
    assert reader.push("a + 1" + suffix + "print") == "a + 1"
    assert reader.finished


def test_models_without_such_tokens_are_asked(bundled: GGUFVocabulary) -> None:
    made = prompts(bundled, context=4096)
    prompt = made.build(PROMPT, SUFFIX)
    assert not made.native
    text = written(bundled, prompt.tokens)
    assert text.startswith("<|im_start|>system\nYou continue documents.")
    assert f"```\n{PROMPT}\n```" in text
    assert f"```\n{SUFFIX}\n```" in text
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n```\n    return")
    reader = reader_of(prompt)
    answer = " a + 1\n\nprint(f(1))\n```\nThis adds one."
    assert "".join(map(reader.push, answer)) + reader.finish() == "a + 1"


def test_each_completion_has_a_reader_of_its_own(bundled: GGUFVocabulary) -> None:
    prompt = prompts(bundled, context=4096).build("x = ", "\n")
    first, second = reader_of(prompt), reader_of(prompt)
    assert first.push("1\n```\n") == "1"
    assert first.finished
    assert not second.finished


@pytest.mark.parametrize("ticks", [0, 1, 2, 3, 4, 6])
def test_question_has_a_fence_that_the_texts_do_not_have(bundled: GGUFVocabulary, ticks: int) -> None:
    text = written(bundled, prompts(bundled, context=4096).build("Text:\n" + "`" * ticks + "\n", "\nend").tokens)
    fence = "`" * max(3, ticks + 1)
    assert text.endswith(f"<|im_start|>assistant\n{fence}\n")
    assert text.count(fence) == 5


def test_answer_does_not_begin_with_a_line_that_is_very_long(bundled: GGUFVocabulary) -> None:
    made = prompts(bundled, context=4096)
    assert written(bundled, made.build("a\n" + "b" * 200, "S").tokens).endswith("```\n" + "b" * 200)
    assert written(bundled, made.build("a\n" + "b" * 201, "S").tokens).endswith("assistant\n```\n")


@settings(deadline=None, max_examples=examples(50))
@given(prompt=hostile, suffix=hostile.filter(bool))
def test_question_has_the_control_tokens_of_the_template_alone(
    bundled: GGUFVocabulary, prompt: str, suffix: str
) -> None:
    tokens = prompts(bundled, context=4096).build(prompt, suffix).tokens
    controls = control_texts(bundled)
    seen = [controls[token] for token in tokens if token in controls]
    assert seen == ["<|im_start|>", "<|im_end|>"] * 2 + ["<|im_start|>"]
