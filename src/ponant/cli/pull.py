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
    """Download MODELs from the Hugging Face hub.

    MODEL is hf:org/repo (which selects Q4_K_M, then Q8_0, then others), hf:org/repo:Q8_0, or hf:org/repo:file.gguf.
    All parts of split weights are downloaded, and Mistral's tokenizer files with the weights. Stored models are not
    downloaded again.

    Interrupted downloads are resumed, and checksums are verified. Private and gated models need HF_TOKEN. HF_ENDPOINT
    is the URL of another hub.

    \b
    Examples:
      ponant pull hf:org/repo
      ponant pull hf:org/repo:Q8_0
      ponant serve hf:org/repo:Q8_0
    """  # noqa: D301 - the backspace stops click from rewrapping
    from ponant.weights.bundled import BUNDLED
    from ponant.weights.store import is_hub_source

    for model in models:
        if not is_hub_source(model):
            reason = "comes with its package" if model == BUNDLED else "is not of the form hf:org/repo[:file|:quant]"
            fail(f"{model} cannot be pulled: it {reason}")
    for model, path in zip(models, fetch_models(models, settings(config, data_dir)), strict=True):
        click.echo(f"{model}: {path}")
