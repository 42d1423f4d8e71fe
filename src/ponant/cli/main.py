"""The command ``ponant`` and its subcommands."""

from importlib import import_module

import click

from ponant._version import __version__

_COMMANDS = {
    "chat": "chat",
    "complete-code": "complete_code",
    "doctor": "doctor",
    "export": "export",
    "finetune": "finetune",
    "inspect": "inspect",
    "models": "models",
    "pull": "pull",
    "rm": "remove",
    "rpc-server": "rpc_server",
    "serve": "serve",
}
"""Modules of the subcommands. The function has the name of its module."""


class _Commands(click.Group):
    """A group that imports a subcommand on use."""

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

    `ponant serve` serves the API with a model on this machine. Existing clients work unchanged with the URL that it
    prints. `ponant chat` chats with a model in the terminal, and `ponant complete-code` completes code.
    `ponant finetune` fine-tunes a model, and `ponant export` exports the result as one file. `ponant pull` downloads
    models, and `ponant models` lists the models on this machine.
    """
