"""lm-evaluation-harness: a task of ten questions, by the likelihood of choices and by written answers."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

URL = os.environ["PONANT_URL"]
QUESTIONS = Path(__file__).with_name("questions.jsonl")
CONTROL = 3
SHARED: dict[str, Any] = {
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": str(QUESTIONS)}},
    "test_split": "test",
    "doc_to_text": "Question: {{question}}\nAnswer:",
}
CHOOSING: dict[str, Any] = SHARED | {
    "task": "choosing",
    "output_type": "multiple_choice",
    "doc_to_choice": "choices",
    "doc_to_target": "answer",
    "metric_list": [{"metric": "acc"}],
}
WRITING: dict[str, Any] = SHARED | {
    "task": "writing",
    "output_type": "generate_until",
    "doc_to_target": "{{choices[answer]}}",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8, "temperature": 0},
    "metric_list": [{"metric": "exact_match"}],
}


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder with the tokenizer of the model file, in the format of Hugging Face."""
    fields = GGUFReader(os.environ["PONANT_MODEL"]).fields
    tokens, merges, kinds = (fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "merges", "token_type"))
    vocabulary = {token: number for number, token in enumerate(tokens)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[tuple(merge.split(" ")) for merge in merges]))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL])
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(tokenizer_object=made, bos_token=tokens[1], eos_token=tokens[2]).save_pretrained(folder)
    return str(folder)


def evaluated(task: dict[str, Any], model: str, **arguments: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return what the model answered to each question, and the results."""
    path = "chat/completions" if "chat" in model else "completions"
    results = simple_evaluate(
        model=model,
        model_args={"model": "mistral-small-latest", "base_url": f"{URL}/v1/{path}"} | arguments,
        tasks=[task],
        task_manager=TaskManager(include_defaults=False),
        bootstrap_iters=0,
        apply_chat_template="chat" in model,
    )
    samples = sorted(results["samples"][task["task"]], key=lambda sample: sample["doc_id"])
    return [sample["filtered_resps"] for sample in samples], results["results"][task["task"]]


@pytest.fixture(scope="module")
def likelihoods(tokenizer: str) -> list[Any]:
    answers, results = evaluated(CHOOSING, "local-completions", tokenizer=tokenizer, batch_size=4)
    assert 0 <= results["acc,none"] <= 1
    return answers


def test_texts_choices_have_likelihoods(likelihoods: list[Any]) -> None:
    assert [len(choices) for choices in likelihoods] == [3] * 10
    assert all(likelihood < 0 for choices in likelihoods for likelihood, _ in choices)
    assert len({likelihood for choices in likelihoods for likelihood, _ in choices}) == 30


def test_texts_choices_are_as_likely_as_text(likelihoods: list[Any], tokenizer: str) -> None:
    answers, _ = evaluated(CHOOSING, "local-completions", tokenizer=tokenizer, tokenized_requests=False)
    for own, theirs in zip(answers, likelihoods, strict=True):
        assert [likelihood for likelihood, _ in own] == pytest.approx([likelihood for likelihood, _ in theirs], abs=0.2)


def test_texts_are_written(tokenizer: str) -> None:
    answers, results = evaluated(WRITING, "local-completions", tokenizer=tokenizer)
    assert len(answers) == 10
    assert all(isinstance(answer, str) and "\n" not in answer for (answer,) in answers)
    assert any(answer for (answer,) in answers)
    assert 0 <= results["exact_match,none"] <= 1


def test_chat_answers_are_written() -> None:
    answers, _ = evaluated(WRITING, "local-chat-completions", eos_string="<|im_end|>")
    assert len(answers) == 10
    assert all(isinstance(answer, str) for (answer,) in answers)
    assert any(answer for (answer,) in answers)


def test_async_requests_run_side_by_side(likelihoods: list[Any], tokenizer: str) -> None:
    answers, _ = evaluated(CHOOSING, "local-completions", tokenizer=tokenizer, num_concurrent=4)
    for own, theirs in zip(answers, likelihoods, strict=True):
        assert [likelihood for likelihood, _ in own] == pytest.approx([likelihood for likelihood, _ in theirs], abs=0.2)


def test_questions_are_ten() -> None:
    assert len([json.loads(line) for line in QUESTIONS.read_text().splitlines()]) == 10
