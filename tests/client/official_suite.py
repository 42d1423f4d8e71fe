# pyright: basic, reportMissingImports=false
"""Make all calls with the official client, version 1, and print their outcomes. Runs where that is installed.

Usage: python official_suite.py URL
"""

import json
import sys
from functools import partial
from operator import attrgetter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from calls import CALLS, comparable, files, joined, parameters  # pyright: ignore[reportImplicitRelativeImport]
from mistralai import Mistral
from mistralai.models import MistralError


def outcome(mistral, operation, **fields):
    try:
        result = attrgetter(operation)(mistral)(**fields)
        if operation.endswith(".stream"):
            with result as events:
                return joined([event.model_dump(mode="json") for event in events])
        if operation == "files.download":
            return result.read().decode("latin-1")
        return result.model_dump(mode="json")
    except MistralError as error:
        return {"error": type(error).__name__, "status": error.status_code, "body": error.body}
    except Exception as error:
        return {"error": type(error).__name__}


with Mistral(api_key="any", server_url=sys.argv[1], timeout_ms=120_000) as mistral:
    outcomes = {call: comparable(outcome(mistral, CALLS[call][0], **parameters(call))) for call in CALLS}
    outcomes["files"] = comparable(list(files(partial(outcome, mistral))))
    print(json.dumps(outcomes))
