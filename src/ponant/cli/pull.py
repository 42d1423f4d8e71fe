"""``ponant pull``."""

from pathlib import Path

import click

from ponant.cli.configuration import settings, with_settings
from ponant.cli.errors import fail
from ponant.cli.fetching import fetch_models


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@with_settings
def pull(models: tuple[str, ...], config: Path | None, data_dir: Path | None) -> None:
    """Fetch MODELs from the Hugging Face hub.

    MODEL is hf:org/repo, whose quantisation is chosen (Q4_K_M before Q8_0 before others), hf:org/repo:Q8_0, or
    hf:org/repo:file.gguf. Split weights come whole, and Mistral's tokenizer files with the weights beside them. What is
    here already is not fetched again.

    A download that broke off goes on where it was. Nothing is taken for a model before its checksum was verified.
    Private and gated models need HF_TOKEN; HF_ENDPOINT is the address of another hub.

    \b
    Examples:
      ponant pull hf:org/repo
      ponant pull hf:org/repo:Q8_0
      ponant serve hf:org/repo:Q8_0
    """  # noqa: D301 - click reads the backspace as "leave these lines as they are"
    from ponant.weights.bundled import BUNDLED
    from ponant.weights.store import is_hub_source

    for model in models:
        if not is_hub_source(model):
            reason = "comes with its package" if model == BUNDLED else "is not of the form hf:org/repo[:file|:quant]"
            fail(f"{model} cannot be pulled: it {reason}")
    for model, path in zip(models, fetch_models(models, settings(config, data_dir)), strict=True):
        click.echo(f"{model}: {path}")
