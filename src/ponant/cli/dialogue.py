"""The interactive ``ponant chat``: input with history, commands, and answers that Ctrl-C stops."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from rich.console import Console

from ponant.cli.advice import explained
from ponant.cli.chat_session import ChatSession
from ponant.cli.request_options import DIALOGUE
from ponant.cli.terminal import show_markdown
from ponant.client.errors import Advice, ClientError
from ponant.private_files import make_folder, make_private, open_file

HELP = """\
/system [TEXT]        set the system prompt; without TEXT, remove it
/model [NAME]         switch to a model; without NAME, list the models
/temperature [VALUE]  set the temperature; without VALUE, use the model's default
/save FILE            save the conversation to FILE, as JSON if it ends in .json, else as Markdown
/clear                start a new conversation
/help                 show this help
/quit                 quit, like Ctrl-D

Enter sends; Alt-Enter inserts a new line. Ctrl-C stops an answer."""

_REMEDIES = {Advice.MODELS: "/model lists the models.", Advice.SERVER: "Is the server running?"}


class Dialogue:
    """A chat in a terminal."""

    def __init__(self, chat: ChatSession, console: Console, history: Path) -> None:
        """Initialize the dialogue.

        Args:
            chat: the chat session.
            console: console for the answers.
            history: file of the input history. Without write access to it, the history is not saved.
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
        """Read and answer questions until the user quits."""
        self._say("/help lists the commands; Ctrl-D quits.")
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
                self._complain(f"Unknown command {name}; /help lists the commands.")
            else:
                with contextlib.closing(self._chat.ask(text)) as pieces:
                    show_markdown(pieces, self._console)
        except KeyboardInterrupt:
            self._say("Stopped.")
        except ClientError as error:
            self._complain(explained(error, DIALOGUE, _REMEDIES))
        except (OSError, ValueError) as error:
            self._complain(str(error))

    def _set_system(self, text: str) -> None:
        self._chat.system = text or None
        self._say(f"System prompt: {text or 'none'}")

    def _set_model(self, name: str) -> None:
        if name:
            before, self._chat.model = self._chat.model, name
            try:
                self._chat.check_model()
            except BaseException:
                self._chat.model = before
                raise
            self._say(f"Model: {name}")
        else:
            self._say("Models: " + ", ".join(self._chat.names()))

    def _set_temperature(self, text: str) -> None:
        try:
            temperature = float(text) if text else None
        except ValueError:
            self._complain(f"{text} is not a number.")
            return
        self._chat.fields["temperature"] = temperature
        self._say(f"Temperature: {text or 'the model’s own'}")

    def _save(self, name: str) -> None:
        if not name:
            self._complain("Usage: /save FILE")
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
        make_folder(file.parent)
        open_file(file, "ab").close()
        make_private(file)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(file))


def _keys() -> KeyBindings:
    """Return the key bindings: Enter sends, Alt-Enter inserts a new line."""
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
