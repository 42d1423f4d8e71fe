"""Examples of files."""

import hashlib
import json
from typing import Any

from ponant.server.document.examples.example import RequestExample

FILE_ID = "497f6eca-6276-4993-bfeb-53cbbbba6f09"
CREATED = 1795996800
_CAPITALS = {"Italy": "Rome", "Norway": "Oslo", "Japan": "Tokyo", "Peru": "Lima"}
DATASET = "".join(
    json.dumps(
        {
            "messages": [
                {"role": "user", "content": f"What is the capital of {country}?"},
                {"role": "assistant", "content": f"{city}, captain!"},
            ]
        }
    )
    + "\n"
    for country, city in _CAPITALS.items()
)
UPLOADS = (
    RequestExample(
        "jsonl", "A dataset for fine-tuning", "JSON Lines with one conversation on each line, as `capitals.jsonl`.",
        {"purpose": "fine-tune", "file": DATASET},
    ),
)  # fmt: skip
FILE: dict[str, Any] = {
    "id": FILE_ID,
    "object": "file",
    "bytes": len(DATASET),
    "created_at": CREATED,
    "filename": "capitals.jsonl",
    "purpose": "fine-tune",
    "sample_type": "instruct",
    "num_lines": len(_CAPITALS),
    "mimetype": "application/jsonl",
    "source": "upload",
    "signature": hashlib.sha256(DATASET.encode()).hexdigest(),
    "expires_at": None,
    "visibility": "workspace",
}
FILE_LIST: dict[str, Any] = {"data": [FILE], "object": "list", "total": 1}
DELETED_FILE: dict[str, Any] = {"id": FILE_ID, "object": "file", "deleted": True}
SIGNED_URL: dict[str, Any] = {
    "url": f"http://127.0.0.1:8000/signed/files/{FILE_ID}?expires=1796083200&signature=2jmj7l5rSw0yVb_vlWAYkK_YBwk"
}
