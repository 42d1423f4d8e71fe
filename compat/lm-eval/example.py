import json
import tempfile
from pathlib import Path

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

questions = Path(tempfile.mkdtemp()) / "questions.jsonl"
questions.write_text(json.dumps({"question": "In which city is the Eiffel Tower?", "answer": "Paris"}))
task = {
    "task": "cities",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": str(questions)}},
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "{{question}} Answer with its name.",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": [".", "\n"], "max_gen_toks": 16, "temperature": 0},
    "metric_list": [{"metric": "exact_match"}],
}
results = simple_evaluate(
    model="local-chat-completions",
    model_args={"model": "mistral-small-latest", "base_url": "http://127.0.0.1:8000/v1/chat/completions"},
    tasks=[task],
    task_manager=TaskManager(include_defaults=False),
    apply_chat_template=True,
)
print(results["results"])
