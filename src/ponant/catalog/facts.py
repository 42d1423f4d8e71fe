"""Facts about a served model."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Facts about a served model. Before it is loaded, ``context`` and ``memory`` are estimates.

    Attributes:
        name: display name.
        owner: organization that published it.
        created: seconds since 1970.
        context: longest sequence, in tokens.
        memory: memory of this machine that it takes, in bytes.
        native_fim: True if the model was trained for fill-in-the-middle.
        grammars: True if its engine follows grammars, which tool calls need.
        architecture: architecture as GGUF files name it.
    """

    name: str
    owner: str | None
    created: int
    context: int
    memory: int
    native_fim: bool = False
    grammars: bool = True
    architecture: str = ""
