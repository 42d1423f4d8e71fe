"""Run Python programs one after the other: reads ``{"program": ..., "output": ...}`` from each line of input."""

import contextlib
import json
import sys
import traceback
from pathlib import Path

for line in sys.stdin:
    task = json.loads(line)
    error = None
    source = Path(task["program"]).read_text()
    with Path(task["output"]).open("w", buffering=1) as output, contextlib.redirect_stdout(output):
        try:
            exec(compile(source, task["program"], "exec"), {"__name__": "__main__"})
        except Exception:
            error = traceback.format_exc()
    print(json.dumps({"error": error}), flush=True)
