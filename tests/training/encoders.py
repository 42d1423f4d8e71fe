"""Encoders of samples for models, and their samples as text."""

from pathlib import Path
from typing import Any

from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.prompts.build import build_prompts
from ponant.prompts.chat.prompt import PromptBuilder
from ponant.prompts.fim.prompts import FimPrompts
from ponant.training.samples import Sample, SampleEncoder


class Model:
    """Tokens and prompts of a model, without its weights."""

    vocabulary: GGUFVocabulary
    prompts: PromptBuilder
    fim: FimPrompts

    def __init__(self, path: Path) -> None:
        self.vocabulary = GGUFVocabulary(path)
        self.prompts, self.fim = build_prompts("model", path, self.vocabulary, context=8192, tokenizer=None)
        self._controls = {token: text for text, token in self.vocabulary.control_tokens().items()}

    def encoder(self, *, seq_len: int = 512, **options: Any) -> SampleEncoder:
        return SampleEncoder(self.vocabulary, self.prompts, self.fim, seq_len=seq_len, **options)

    def written(self, tokens: list[int]) -> str:
        """Return tokens as text, with the names of control tokens."""
        pieces = [
            self._controls[token].encode() if token in self._controls else self.vocabulary.piece(token)
            for token in tokens
        ]
        return b"".join(pieces).decode()

    def learned(self, sample: Sample) -> list[str]:
        """Return the learned parts of a sample."""
        stretches: list[list[int]] = []
        before = False
        for token, is_learned in zip(sample.tokens, sample.learned, strict=True):
            if is_learned and not before:
                stretches.append([])
            if is_learned:
                stretches[-1].append(token)
            before = is_learned
        return [self.written(stretch) for stretch in stretches]
