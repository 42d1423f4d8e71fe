# pyright: basic, reportMissingImports=false
"""Make all calls with the official client, version 1, and print their outcomes. Runs where that is installed.

Usage: python official_suite.py URL
"""

import json
import sys
from operator import attrgetter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from calls import CALLS, comparable, joined, parameters  # pyright: ignore[reportImplicitRelativeImport]
from mistralai import Mistral
from mistralai.models import MistralError


def outcome(mistral, call):
    operation = attrgetter(CALLS[call][0])(mistral)
    try:
        result = operation(**parameters(call))
        if call.startswith("stream: "):
            with result as events:
                return joined([event.model_dump(mode="json") for event in events])
        return result.model_dump(mode="json")
    except MistralError as error:
        return {"error": type(error).__name__, "status": error.status_code, "body": error.body}
    except Exception as error:
        return {"error": type(error).__name__}


with Mistral(api_key="any", server_url=sys.argv[1], timeout_ms=120_000) as mistral:
    print(json.dumps({call: comparable(outcome(mistral, call)) for call in CALLS}))
