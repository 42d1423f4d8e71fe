"""Completions by scripted engines, for tests."""

from collections.abc import Sequence
from pathlib import Path

from ponant.callers import ANYONE
from ponant.catalog.facts import ModelFacts
from ponant.catalog.loading.loaded import LoadedModel
from ponant.catalog.spec import ModelSpec
from ponant.completion.completion import Completion
from ponant.completion.spec import CompletionSpec
from ponant.engine.base import GenerateRequest
from ponant.llamacpp.vocabulary import open_vocabulary
from ponant.prompts.answer.output_format import PLAIN, OutputFormat
from ponant.prompts.build import build_prompts
from ponant.prompts.chat.prompt import Prompt
from ponant.prompts.request import RawPromptRequest
from tests.scripted_engine import ScriptedEngine


async def completion(
    weights: Path, *, seeds: Sequence[int] = (3,), output_format: OutputFormat = PLAIN
) -> tuple[Completion, ScriptedEngine]:
    """Return a completion that is not started, and its engine."""
    vocabulary = open_vocabulary(weights)
    engine = ScriptedEngine(vocabulary)
    await engine.start()
    prompts, fim = build_prompts("m", weights, vocabulary, context=512, tokenizer=None)
    model = LoadedModel(
        ModelSpec("m", "m", weights), ModelFacts("m", None, 0, 512, 0), engine, engine, vocabulary, prompts, fim
    )
    spec = CompletionSpec(caller=ANYONE, model=None, kind="chat", prompt=RawPromptRequest([1, 2]), arrived=0)
    prompt = Prompt([1, 2], output_format=output_format)
    return Completion(model, prompt, GenerateRequest(prompt=[1, 2], seeds=list(seeds)), spec, timeout=60), engine
