# pyright: basic, reportMissingImports=false
"""Files: lists with cursors."""

import asyncio
from collections.abc import Iterator

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.clients.openai.asking import settings


@pytest.fixture
def files(client: OpenAI) -> Iterator[list[str]]:
    """Five files, the oldest first, the only ones of the server."""
    delete_all(client)
    made = [
        client.files.create(file=(f"{number}.jsonl", b'{"messages": []}\n'), purpose="batch") for number in range(5)
    ]
    assert {file.status for file in made} == {"processed"}
    yield [file.id for file in made]
    delete_all(client)


def delete_all(client: OpenAI) -> None:
    for file in client.files.list():
        client.files.delete(file.id)


@pytest.mark.parametrize("limit", [1, 2, 5, 7, openai.omit])
def test_every_file_is_listed_once(client: OpenAI, files: list[str], limit: int) -> None:
    assert [file.id for file in client.files.list(limit=limit)] == files[::-1]
    assert [file.id for file in client.files.list(limit=limit, order="asc")] == files
    assert [file.id for file in client.files.list(limit=limit, purpose="fine-tune")] == []
    assert [file.id for file in client.files.list(limit=limit, after=files[2])] == [files[1], files[0]]


def test_async_lists_end(files: list[str]) -> None:
    async def listed() -> list[str]:
        async with AsyncOpenAI(**settings()) as client:
            return [file.id async for file in client.files.list(limit=2)]

    assert asyncio.run(listed()) == files[::-1]


def test_files_of_a_list_may_be_deleted_meanwhile(client: OpenAI, files: list[str]) -> None:
    assert [client.files.delete(file.id).id for file in client.files.list(limit=2)] == files[::-1]
    assert client.files.list().data == []


def test_files_are_processed_at_once(client: OpenAI, files: list[str]) -> None:
    assert client.files.wait_for_processing(files[0]).filename == "0.jsonl"


def test_cursors_that_are_none_are_refused(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.files.list(after="no-such-file")
    for limit in (0, 100_000):
        with pytest.raises(openai.BadRequestError) as caught:
            client.files.list(limit=limit)
        assert caught.value.param == "limit"
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.list(extra_query={"limit": "many"})
    assert caught.value.param == "limit"
