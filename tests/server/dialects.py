"""Requests in the dialects of the API, and their answers."""

import json
from typing import Any

import httpx2

from tests.chatting import data_of
from tests.serving import RunningServer

OPENAI = "/openai/v1/chat/completions"
NIM = "/nim/v1/chat/completions"
EARLY = {"user_agent": "mistral-client-python/0.4.2", "accept": "application/json"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]},
    },
}


def post(server: RunningServer, path: str, sent: dict[str, Any], **headers: str) -> httpx2.Response:
    with server.client() as client:
        return client.post(path, json=sent, headers={name.replace("_", "-"): value for name, value in headers.items()})


def posted(server: RunningServer, path: str, sent: dict[str, Any], **headers: str) -> dict[str, Any]:
    response = post(server, path, sent, **headers)
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def is_openai(response: dict[str, Any]) -> bool:
    return "refusal" in response["choices"][0]["message"]


def chunks_of(response: httpx2.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    *chunks, done = data_of(response)
    assert done == "[DONE]"
    return [json.loads(chunk) for chunk in chunks]
