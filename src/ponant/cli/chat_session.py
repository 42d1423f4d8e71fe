"""A conversation with a model: what was said, and how the next answer is asked for."""

import json
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ponant import Mistral
from ponant.client.text import text_of


@dataclass
class ChatSession:
    """What was said so far.

    Attributes:
        mistral: who answers.
        model: the model's name; None for the server's own choice.
        system: the instructions above the conversation.
        fields: further fields of the requests, such as ``temperature``.
        messages: questions and answers, without the instructions.
    """

    mistral: Mistral
    model: str | None = None
    system: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    messages: list[dict[str, str]] = field(default_factory=list)

    def ask(self, question: str) -> Generator[str, None, None]:
        """The answer, in pieces as they come.

        What was said is kept when the answer is complete, and also when the reader closes it before.
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

    def save(self, path: Path) -> None:
        """Write the conversation to a file: as messages in JSON, or as Markdown, by the file's name."""
        messages = [*self._instructions(), *self.messages]
        if path.suffix == ".json":
            text = json.dumps(messages, ensure_ascii=False, indent=2)
        else:
            text = "\n\n".join(f"## {message['role'].capitalize()}\n\n{message['content']}" for message in messages)
        path.write_text(text + "\n", encoding="utf-8")

    def _instructions(self) -> list[dict[str, str]]:
        return [{"role": "system", "content": self.system}] if self.system else []
