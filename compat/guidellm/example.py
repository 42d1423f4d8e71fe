import json
import subprocess
import sys
import tempfile
from pathlib import Path

folder = Path(tempfile.mkdtemp())
prompt = {"prompt": "In which city is the Eiffel Tower?", "output_tokens_count": 8}
(folder / "prompts.jsonl").write_text(json.dumps(prompt))
backend = "kind=openai_http,target=http://127.0.0.1:8000,model=mistral-small-latest"
command = [
    *(str(Path(sys.executable).parent / "guidellm"), "run", "--backend", backend),
    *("--profile", "kind=synchronous", "--constraint", "kind=max_requests,count=1"),
    *(
        "--data",
        f"kind=json_file,path={folder / 'prompts.jsonl'}",
        "--output",
        f"kind=json,path={folder / 'report.json'}",
    ),
]
subprocess.run(command, check=True)
