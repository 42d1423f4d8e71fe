"""Requests of all operations, with values that samples must quote."""

from ponant.samples.call import ApiCall, Json, Target, UploadForm

TARGET = Target("http://127.0.0.1:8000", "MISTRAL_API_KEY")
HOSTILE = (
    'it\'s "this" \\ \\n `id` $HOME ${x} $(id) \\(x) #" """# %s {0} \n\t\r\0\x7f\u2028\u202e é 日本 👩‍🚀 </script>'
)
"""Text with the special characters of all languages."""
VALUES: list[Json] = [None, True, False, 0, -1, 1.5, 1e300, {}, [], [[]], {"__proto__": {"a b": HOSTILE}}, HOSTILE]


def chat(**fields: Json) -> ApiCall:
    """Return a chat request."""
    body: dict[str, Json] = {"model": "small", "messages": [{"role": "user", "content": HOSTILE}]}
    return ApiCall("POST", "/v1/chat/completions", body=body | fields)


CALLS = [
    chat(temperature=0.7, max_tokens=None),
    chat(stream=True),
    chat(stream=True, n=2),
    chat(n=2, metadata={"values": VALUES, HOSTILE: 1}),
    chat(metadata={"large": 2**53 + 1, "larger": 10**30}),
    chat(
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
    ),
    ApiCall("POST", "/v1/fim/completions", body={"model": "code", "prompt": "def f():\n    ", "suffix": HOSTILE}),
    ApiCall("POST", "/v1/fim/completions", body={"model": "code", "prompt": HOSTILE, "stream": True}),
    ApiCall("POST", "/v1/embeddings", body={"model": "embed", "input": [HOSTILE.replace("\0", ""), ""]}),
    ApiCall("GET", "/v1/models"),
    ApiCall("GET", "/v1/models", query={"model": HOSTILE}),
    ApiCall("GET", "/v1/models/org%2Fa%20model"),
    ApiCall("DELETE", "/v1/models/ft:a:b"),
    ApiCall("PATCH", "/v1/fine_tuning/models/ft:a", body={"name": HOSTILE, "description": None}),
    ApiCall("POST", "/v1/fine_tuning/models/ft:a/archive"),
    ApiCall("DELETE", "/v1/fine_tuning/models/ft:a/archive"),
    ApiCall("POST", "/v1/files", form=UploadForm("train.jsonl", {"purpose": "fine-tune", "expiry": 24})),
    ApiCall("POST", "/v1/files", form=UploadForm('it\'s "a" ${file}.jsonl')),
    ApiCall("GET", "/v1/files", query={"page_size": 20, "source": ["upload", "repository"], "include_total": False}),
    ApiCall("GET", "/v1/files/a"),
    ApiCall("DELETE", "/v1/files/a"),
    ApiCall("GET", "/v1/files/a/content"),
    ApiCall("GET", "/v1/files/a/url", query={"expiry": 24}),
    ApiCall("GET", "/v1/fine_tuning/jobs", query={"created_after": "2026-01-01T00:00:00Z", "page": 0}),
    ApiCall(
        "POST",
        "/v1/fine_tuning/jobs",
        body={"model": "small", "hyperparameters": {"training_steps": 10}, "training_files": [{"file_id": "a"}]},
    ),
    ApiCall("POST", "/v1/fine_tuning/jobs", query={"dry_run": True}, body={"model": "small", "hyperparameters": {}}),
    ApiCall("GET", "/v1/fine_tuning/jobs/a"),
    ApiCall("POST", "/v1/fine_tuning/jobs/a/start"),
    ApiCall("POST", "/v1/fine_tuning/jobs/a/cancel"),
]
