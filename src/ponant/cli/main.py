"""``ponant`` itself: its subcommands, and how mistakes are told."""

from importlib import import_module

import click

from ponant._version import __version__

_COMMANDS = {
    "chat": "chat",
    "complete-code": "complete_code",
    "export": "export",
    "finetune": "finetune",
    "inspect": "inspect",
    "models": "models",
    "pull": "pull",
    "rm": "remove",
    "serve": "serve",
}
"""The subcommands, and the modules that have them under the same name."""


class _Commands(click.Group):
    """Imports a subcommand when it is used: none needs what the others do."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(import_module(f"ponant.cli.{module}"), module)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ponant")
def main() -> None:
    """The Mistral API on your own hardware.

    `ponant serve` answers the API with a real model on this machine. Existing clients work unchanged: give them the
    address that it prints. `ponant chat` talks to a model in the terminal; `ponant complete-code` fills in code;
    `ponant finetune` trains one, and `ponant export` writes what came of it as one file. `ponant pull` fetches models,
    `ponant models` lists those of this machine.
    """
