"""Mistral's tokenizer file is found, read, and compared with the model's vocabulary."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from mistral_common.protocol.instruct import messages
from mistral_common.tokens.tokenizers import sentencepiece

from ponant.llamacpp.model import ContextShape, Model
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.prompts.chat.turns import Turn
from ponant.prompts.mistral.tokenizer import (
    MissingLibraryError,
    MistralTokens,
    TokenizerError,
    TokenizerMismatchError,
    find_tokenizer_file,
)
from tests.prompts.mistral.models import (
    HOSTILE,
    ID,
    REAL_TEKKEN,
    SENTENCEPIECE,
    SYSTEM,
    USER,
    WEATHER,
    Made,
    S,
    U,
    call,
    everywhere,
    library_call,
    library_of,
    library_tokens,
    make,
    tekken_vocabulary,
)
from tests.tekken_model import SPECIAL_TOKENS, VERSIONS, special_tokens, write_tekken, write_tekken_model
from tests.tiny_model import write_tiny_model

# The tokenizer file.


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], None),
        (["tokenizer.model", "tokenizer.json", "tokenizer_config.json"], None),
        (["tokenizer.model.v", "tokenizer.model.vx", "tokenizer.model.v3.bak", "my.tokenizer.model.v3"], None),
        (["tokenizer.model.v1"], "tokenizer.model.v1"),
        (["tokenizer.model.v3", "tokenizer.model.v11", "tokenizer.model.v7m1"], "tokenizer.model.v11"),
        (["tokenizer.model.v7m1", "tokenizer.model.v7", "tokenizer.model.v3"], "tokenizer.model.v7m1"),
        (["tekken.json", "tokenizer.model.v11"], "tekken.json"),
        (["tekken_240718.json"], None),
    ],
)
def test_best_file_beside_the_weights_is_found(tmp_path: Path, names: list[str], expected: str | None) -> None:
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "tekken").mkdir()
    found = find_tokenizer_file(tmp_path / "model.gguf")
    assert found == (tmp_path / expected if expected else None)


def test_folder_of_that_name_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "tekken.json").mkdir()
    (tmp_path / "tokenizer.model.v3").mkdir()
    assert find_tokenizer_file(tmp_path / "model.gguf") is None
    assert find_tokenizer_file(tmp_path / "nowhere" / "model.gguf") is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tekken.json", b""),
        ("tekken.json", b"{}"),
        ("tekken.json", b"[1, 2]"),
        ("tekken.json", b"\xff\xfe\x00"),
        ("tekken.json", b'{"config": {"version": "v99"}}'),
        ("tokenizer.model.v3", b"garbage"),
        ("tokenizer.model.v99", b""),
        ("other.bin", b""),
    ],
)
def test_file_that_is_no_tokenizer_is_refused(
    model_of: Callable[[str], Made], tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TokenizerError, match=f"cannot read .*{name}") as refused:
        MistralTokens(tmp_path / name, model_of("tekken v13").vocabulary)
    assert type(refused.value) is TokenizerError


def test_missing_file_is_named(model_of: Callable[[str], Made], tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"there is no file .*tekken\.json"):
        MistralTokens(tmp_path / "tekken.json", model_of("tekken v13").vocabulary)


def test_truncated_file_is_refused(model_of: Callable[[str], Made], tmp_path: Path) -> None:
    write_tekken(tmp_path / "tekken.json", version="v13")
    whole = (tmp_path / "tekken.json").read_bytes()
    content = json.loads(whole)
    content["vocab"].pop(260)
    for broken in (whole[: len(whole) // 2], json.dumps(content).encode()):
        (tmp_path / "tekken.json").write_bytes(broken)
        with pytest.raises(TokenizerError, match="cannot read"):
            MistralTokens(tmp_path / "tekken.json", model_of("tekken v13").vocabulary)


class Shuffled(GGUFVocabulary):
    """GGUFVocabulary with some tokens at the ids of others."""

    def __init__(self, vocabulary: GGUFVocabulary, ids: Sequence[int]) -> None:
        vars(self).update(vars(vocabulary))
        self._pieces = {}
        self._ids = list(ids)

    def text(self, token: int | None) -> str:
        return super().text(None if token is None else self._ids[token])

    def piece(self, token: int) -> bytes:
        return super().piece(self._ids[token])


def test_other_vocabulary_is_refused(model_of: Callable[[str], Made], tmp_path: Path) -> None:
    write_tekken(tmp_path / "tekken.json", version="v13")
    write_tiny_model(tmp_path / "model.gguf")
    other = GGUFVocabulary(tmp_path / "model.gguf")
    with pytest.raises(TokenizerMismatchError, match=rf"has \d+ tokens, the model has {other.size}"):
        MistralTokens(tmp_path / "tekken.json", other)
    with pytest.raises(TokenizerMismatchError, match=r"its token 34 is '\[THINK\]', the model's is '<SPECIAL_34>'"):
        MistralTokens(tmp_path / "tekken.json", model_of("tekken v11").vocabulary)
    with pytest.raises(TokenizerMismatchError, match=r"its token 16 is '\[SYSTEM_PROMPT\]', the model's is '\[control"):
        MistralTokens(SENTENCEPIECE["v7"], model_of("sentencepiece v3").vocabulary)


@pytest.mark.parametrize("first", [0, 3, SPECIAL_TOKENS])
def test_tokens_at_other_ids_are_refused(tmp_path: Path, first: int) -> None:
    vocabulary = GGUFVocabulary(write_tekken_model(tmp_path))
    size = vocabulary.size
    MistralTokens(tmp_path / "tekken.json", Shuffled(vocabulary, range(size)))
    moved = [*range(first), *np.random.default_rng(0).permutation(np.arange(first, size)).tolist()]
    with pytest.raises(TokenizerMismatchError, match="is not the model's tokenizer: its token"):
        MistralTokens(tmp_path / "tekken.json", Shuffled(vocabulary, moved))


def test_names_of_tokens_that_conversations_do_not_have_may_differ(tmp_path: Path) -> None:
    vocabulary = GGUFVocabulary(write_tekken_model(tmp_path, version="v3"))
    ids = [*range(10), *range(20, 30), *range(20, vocabulary.size)]
    tokens = MistralTokens(tmp_path / "tekken.json", Shuffled(vocabulary, ids))
    assert tokens.encode([USER])
    assert not tokens.has_fim


def test_swapped_control_tokens_are_refused(tmp_path: Path) -> None:
    vocabulary = GGUFVocabulary(write_tekken_model(tmp_path))
    ids = list(range(vocabulary.size))
    ids[3], ids[4] = 4, 3
    with pytest.raises(TokenizerMismatchError, match=r"its token 3 is '\[INST\]', the model's is '\[/INST\]'"):
        MistralTokens(tmp_path / "tekken.json", Shuffled(vocabulary, ids))


def test_missing_library_is_named(
    model_of: Callable[[str], Made], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    vocabulary = model_of("tekken v13").vocabulary
    write_tekken(tmp_path / "tekken.json", version="v13")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "mistral_common.tokens.tokenizers.mistral", None)
        with pytest.raises(MissingLibraryError, match="install Ponant with the extra mistral"):
            MistralTokens(tmp_path / "tekken.json", vocabulary)

    def refuse() -> None:
        raise ImportError("`sentencepiece` is not installed")

    (tmp_path / "tokenizer.model.v3").touch()
    monkeypatch.setattr(sentencepiece, "assert_sentencepiece_installed", refuse)
    with pytest.raises(MissingLibraryError, match=r"install Ponant with the extra mistral.*sentencepiece"):
        MistralTokens(tmp_path / "tokenizer.model.v3", vocabulary)


def test_library_is_imported_when_it_is_needed() -> None:
    check = "import sys, ponant.prompts.mistral.tokenizer; sys.exit('mistral_common' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_real_tekken_file_is_read(tmp_path: Path) -> None:
    if not REAL_TEKKEN.is_file():
        pytest.skip(f"this release of mistral-common brings no {REAL_TEKKEN.name}")
    model = make(tekken_vocabulary(tmp_path / "model.gguf", library_of(REAL_TEKKEN)), REAL_TEKKEN)
    turns = [SYSTEM, USER, Turn("assistant", "", [call()]), Turn("tool", "sunny", tool_call_id=ID)]
    result = messages.ToolMessage(content="sunny", tool_call_id=ID)
    said = [S, U, messages.AssistantMessage(tool_calls=[library_call()]), result]
    tokens = model.tokens.encode(turns, tools=[WEATHER])
    assert tokens == library_tokens(model, *said, tools=True)
    assert USER.text in model.rendered(tokens)
    hostile = "".join(HOSTILE)
    assert model.controls_in(everywhere(model, hostile)) == model.controls_in(everywhere(model, "harmless"))


# Models that other tests use.


@pytest.mark.parametrize("version", VERSIONS)
def test_tiny_model_has_the_tokens_of_its_file(model_of: Callable[[str], Made], version: str) -> None:
    model = model_of(f"tekken {version}")
    names = special_tokens(version)
    assert [model.vocabulary.text(token) for token in range(SPECIAL_TOKENS)] == names
    assert model.vocabulary.control_tokens() == {text: token for token, text in enumerate(names)}
    assert (model.vocabulary.bos, model.vocabulary.eos, model.vocabulary.adds_bos) == (1, 2, True)
    theirs = model.library.instruct_tokenizer.tokenizer
    for text in ("hello ☺ the [INST] and 漢 😀", "  \n\n a1234 user's Tion", " of the tion\t\r\n()"):
        assert model.vocabulary.tokenize(text, control=False) == theirs.encode(text, bos=False, eos=False)


@pytest.mark.parametrize("biases", [None, {"[TOOL_CALLS]": 6.0, "</s>": 0.0}])
def test_tiny_model_speaks(tmp_path: Path, biases: dict[str, float] | None) -> None:
    path = write_tekken_model(tmp_path, biases=biases)
    vocabulary = GGUFVocabulary(path)
    assert vocabulary.end_tokens == frozenset([2])
    said = MistralTokens(tmp_path / "tekken.json", vocabulary).encode([USER])
    model = Model(path)
    model.open_context(
        ContextShape(
            cells=256,
            slots=1,
            batch_tokens=256,
            most_logits=1,
            threads=1,
            flash_attention=False,
            kv_type="f32",
            separate_streams=False,
        )
    )
    random = np.random.default_rng(0)
    spoken: list[int] = []
    chunk = said
    for _ in range(60):
        logits = model.decode([(0, len(said) + len(spoken) - len(chunk), chunk, 1)])[0].astype(np.float64)
        chances = np.exp(logits - logits.max())
        chunk = [int(random.choice(len(chances), p=chances / chances.sum()))]
        spoken += chunk
    text = b"".join(map(vocabulary.piece, spoken)).decode("utf-8", "ignore")
    assert len(set(text)) > 10
    assert any(token < SPECIAL_TOKENS for token in spoken) == (biases is not None)
