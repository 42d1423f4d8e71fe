"""``ponant`` itself: its subcommands, and how mistakes are told."""

import click

import ponant
from ponant.cli.chat import chat
from ponant.cli.complete_code import complete_code
from ponant.cli.export import export
from ponant.cli.finetune import finetune
from ponant.cli.inspect import inspect
from ponant.cli.models import models
from ponant.cli.pull import pull
from ponant.cli.remove import remove
from ponant.cli.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(ponant.__version__, prog_name="ponant")
def main() -> None:
    """The Mistral API on your own hardware.

    `ponant serve` answers the API with a real model on this machine. Existing clients work unchanged: give them the
    address that it prints. `ponant chat` talks to a model in the terminal; `ponant complete-code` fills in code;
    `ponant finetune` trains one, and `ponant export` writes what came of it as one file. `ponant pull` fetches models,
    `ponant models` lists those of this machine.
    """


main.add_command(chat)
main.add_command(complete_code)
main.add_command(export)
main.add_command(finetune)
main.add_command(inspect)
main.add_command(models)
main.add_command(pull)
main.add_command(remove)
main.add_command(serve)
