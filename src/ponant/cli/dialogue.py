"""``ponant chat`` without a question: input with history, commands, answers that can be stopped."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from rich.console import Console

from ponant.cli.chat_session import ChatSession
from ponant.cli.terminal import show_markdown
from ponant.client.errors import ClientError

HELP = """\
/system [TEXT]        the instructions above the conversation; without TEXT, none
/model [NAME]         another model; without NAME, those there are
/temperature [VALUE]  how varied answers are; without VALUE, the model's own
/save FILE            write the conversation to FILE: JSON if it ends in .json, else Markdown
/clear                forget the conversation
/help                 this
/quit                 leave, as Ctrl-D does

Enter sends; Alt-Enter begins a new line. Ctrl-C stops an answer."""


class Dialogue:
    """Questions from the keyboard, answers on the screen."""

    def __init__(self, chat: ChatSession, console: Console, history: Path) -> None:
        """Begin a dialogue.

        Args:
            chat: who answers, and how.
            console: where answers go.
            history: the file that keeps what was entered; if it cannot be written, nothing is kept.
        """
        self._chat = chat
        self._console = console
        self._commands: dict[str, Callable[[str], None]] = {
            "/system": self._set_system,
            "/model": self._set_model,
            "/temperature": self._set_temperature,
            "/save": self._save,
            "/clear": self._clear,
            "/help": lambda _: self._say(HELP),
        }
        self._input: PromptSession[str] = PromptSession(
            "> ",
            multiline=True,
            key_bindings=_keys(),
            history=_history(history),
            completer=WordCompleter([*self._commands, "/quit"], sentence=True),
            complete_while_typing=False,
            prompt_continuation="  ",
        )

    def run(self) -> None:
        """Take questions until the user leaves."""
        self._say("/help tells what there is; Ctrl-D leaves.")
        while True:
            try:
                text = self._input.prompt().strip()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if text in ("/quit", "/exit"):
                return
            if text:
                self._take(text)

    def _take(self, text: str) -> None:
        name, _, argument = text.partition(" ")
        command = self._commands.get(name)
        try:
            if command:
                command(argument.strip())
            elif text.startswith("/") and "/" not in name[1:]:
                self._complain(f"There is no {name}; /help tells what there is.")
            else:
                with contextlib.closing(self._chat.ask(text)) as pieces:
                    show_markdown(pieces, self._console)
        except KeyboardInterrupt:
            self._say("Stopped.")
        except (ClientError, OSError, ValueError) as error:
            self._complain(str(error))

    def _set_system(self, text: str) -> None:
        self._chat.system = text or None
        self._say(f"System prompt: {text or 'none'}")

    def _set_model(self, name: str) -> None:
        if name:
            self._chat.mistral.models.retrieve(model_id=name)  # which fails if there is none
            self._chat.model = name
            self._say(f"Model: {name}")
        else:
            self._say("Models: " + ", ".join(card.id for card in self._chat.mistral.models.list().data))

    def _set_temperature(self, text: str) -> None:
        try:
            temperature = float(text) if text else None
        except ValueError:
            self._complain(f"{text} is no number.")
            return
        self._chat.fields["temperature"] = temperature
        self._say(f"Temperature: {text or 'the model’s own'}")

    def _save(self, name: str) -> None:
        if not name:
            self._complain("Where to? /save FILE")
            return
        self._chat.save(Path(name).expanduser())
        self._say(f"Saved: {name}")

    def _clear(self, _: str) -> None:
        self._chat.messages.clear()
        self._say("Forgotten.")

    def _say(self, text: str) -> None:
        self._console.print(text, style="dim", markup=False, highlight=False)

    def _complain(self, text: str) -> None:
        self._console.print(text, style="red", markup=False, highlight=False)


def _history(file: Path) -> History:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.open("a").close()
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(file))


def _keys() -> KeyBindings:
    """Enter sends, and Alt-Enter begins a new line."""
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
