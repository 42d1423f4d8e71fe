"""A chat session: its messages and the options of its requests."""

import json
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ponant import Mistral
from ponant.client.errors import Advice, ClientError
from ponant.client.text import text_of


@dataclass
class ChatSession:
    """A chat session.

    Attributes:
        mistral: client of the server.
        model: name of the model; None for the server's default.
        system: system prompt.
        fields: further fields of the requests, such as ``temperature``.
        messages: questions and answers, without the system prompt.
    """

    mistral: Mistral
    model: str | None = None
    system: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    messages: list[dict[str, str]] = field(default_factory=list)

    def ask(self, question: str) -> Generator[str, None, None]:
        """Yield the answer to a question in pieces.

        The question and the text received so far are added to the messages, also if the generator is closed early.
        """
        asked = {"role": "user", "content": question}
        said: list[str] = []
        try:
            request = [*self._instructions(), *self.messages, asked]
            with self.mistral.chat.stream(model=self.model, messages=request, **self.fields) as events:
                for event in events:
                    text = text_of(event.data.choices[0].delta.content) if event.data.choices else None
                    if text:
                        said.append(text)
                        yield text
        finally:
            if said:
                self.messages += [asked, {"role": "assistant", "content": "".join(said)}]

    def check_model(self) -> None:
        """Raise ClientError if the model is not one for conversations."""
        if self.model is not None:
            card = self.mistral.models.retrieve(model_id=self.model)
            if not card.capabilities.completion_chat:
                raise ClientError(f"{self.model} is not a model for conversations.", Advice.MODELS)
            if getattr(card, "archived", False):
                raise ClientError(f"{self.model} is archived.", Advice.MODELS)

    def names(self) -> list[str]:
        """Return the names of the models for conversations."""
        return [
            card.id
            for card in self.mistral.models.list().data
            if card.capabilities.completion_chat and not getattr(card, "archived", False)
        ]

    def save(self, path: Path) -> None:
        """Write the messages to a file, as JSON if its suffix is ``.json``, else as Markdown."""
        messages = [*self._instructions(), *self.messages]
        if path.suffix == ".json":
            text = json.dumps(messages, ensure_ascii=False, indent=2)
        else:
            text = "\n\n".join(f"## {message['role'].capitalize()}\n\n{message['content']}" for message in messages)
        path.write_text(text + "\n", encoding="utf-8")

    def _instructions(self) -> list[dict[str, str]]:
        return [{"role": "system", "content": self.system}] if self.system else []
