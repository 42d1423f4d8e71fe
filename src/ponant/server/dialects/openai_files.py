"""Files in OpenAI's format."""

from collections.abc import Callable, Mapping
from typing import Any

from ponant.server.dialects.base import Json
from ponant.server.dialects.openai_answers import OpenAIAnswers

FILES = "/v1/files"


def cursor_page(response: Mapping[str, Any], translated: Callable[[Mapping[str, Any]], Json]) -> Json:
    """Return a page in OpenAI's format.

    Args:
        response: the page in the format of the Mistral API; its total counts the items from its first on.
        translated: translates an item.
    """
    data = [translated(item) for item in response["data"]]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": (response.get("total") or 0) > len(data),
    }


class FileAnswers(OpenAIAnswers):
    """Writer of files, single or in a list."""

    def response(self, response: Json) -> Json:
        """Return the translation of a whole answer."""
        if response.get("object") == "list":
            return cursor_page(response, _file)
        return _file(response) if "bytes" in response else response


def _file(file: Mapping[str, Any]) -> Json:
    same = ("id", "object", "bytes", "created_at", "expires_at", "filename", "purpose")
    return {name: file[name] for name in same} | {"status": "processed", "status_details": None}
