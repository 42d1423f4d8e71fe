"""What is to be served as a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ponant.errors import ModelLoadError
from ponant.weights.kinds import Kind

LOCAL = "local"
"""Name of the loader of models on this machine."""

EmbedAs = Literal["passage", "query"]
"""What texts are taken for by a model that embeds what is searched and what is searched for in different ways."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model to serve: where its weights come from, what it is called, and how it is to be run.

    ``source`` is the name of a bundled model, the path of a GGUF file, or ``hf:org/repo[:file|:quant]``; ``path`` is
    the file that it stands for, None for a model on another machine. ``loader`` is the name of the loader in the
    catalog that loads it. ``tokenizer`` is the file of Mistral's own tokenizer, if it has one that is not beside
    the weights. ``context`` (tokens), ``kv_memory`` (bytes) and ``threads`` leave the choice to the engine if None, and
    ``parallel`` is how many sequences run at once. ``training_weights`` is a Hugging Face folder with the same model in
    full precision, to be trained on in the place of the file. A model that embeds cuts texts that are too long if
    ``truncate``, and the bundled one takes all texts for what ``embed_as`` says.
    """

    source: str
    id: str
    path: Path | None
    kind: Kind = "chat"
    aliases: tuple[str, ...] = ()
    default_temperature: float = 0.7
    tokenizer: Path | None = None
    context: int | None = None
    kv_memory: int | None = None
    parallel: int = 16
    threads: int | None = None
    training_weights: Path | None = None
    truncate: bool = False
    embed_as: EmbedAs = "passage"
    loader: str = LOCAL

    @property
    def weights(self) -> Path:
        """File of the weights. Raises ModelLoadError if they are not on this machine."""
        if self.path is None:
            raise ModelLoadError(f"the weights of {self.id} are not on this machine")
        return self.path


@dataclass(frozen=True, slots=True)
class FineTunedSpec:
    """A model that a fine-tuning job made of another one.

    ``id`` is ``ft:<base>:<suffix>:<date>:<id>``; ``base`` the id of the model whose weights it changes; ``adapter`` the
    file of the LoRA adapter that does so, in llama.cpp's GGUF format; ``job`` the id of the job; ``root`` what the job
    called the base; ``created`` in seconds since 1970. An archived model is listed, but answers nothing.
    """

    id: str
    base: str
    adapter: Path
    job: str
    root: str
    created: int
    name: str | None = None
    description: str | None = None
    archived: bool = False
