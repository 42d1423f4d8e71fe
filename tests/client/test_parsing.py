"""Answers parsed as objects, and errors for answers that are not valid."""

import asyncio
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from ponant import Mistral, models
from ponant.client.parsing import format_of
from tests.client.misbehaving import ANSWER, CHUNK, DONE, event, misbehaving, respond, stream
from tests.serving import RunningServer

Name = Annotated[str, Field(max_length=12)]


class City(BaseModel):
    """A city."""

    name: Name
    country: Name


class Trip(BaseModel):
    to: City
    days: dict[str, int] = Field(description="What takes how long.")


REQUEST: dict[str, Any] = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "In which city is the Eiffel Tower? Answer in JSON: name and country."}],
    "temperature": 0.0,
    "max_tokens": 200,
}


@pytest.fixture(scope="module")
def mistral(tiny_server: RunningServer) -> Iterator[Mistral]:
    with Mistral(server_url=tiny_server.url) as client:
        yield client


def test_the_answer_is_an_object(mistral: Mistral) -> None:
    response = mistral.chat.parse(City, **REQUEST)
    message = response.choices[0].message
    assert isinstance(message.parsed, City)
    assert City.model_validate_json(str(message.content)) == message.parsed
    assert response == asyncio.run(mistral.chat.parse_async(response_format=City, **REQUEST)).model_copy(
        update={"id": response.id, "created": response.created, "usage": response.usage}
    )


def test_every_one_of_several_answers_is_an_object(mistral: Mistral) -> None:
    response = mistral.chat.parse(City, **REQUEST | {"n": 2, "temperature": 1.0, "random_seed": 1})
    assert all(isinstance(choice.message.parsed, City) for choice in response.choices)


def test_a_stream_ends_with_an_object(mistral: Mistral) -> None:
    with mistral.chat.parse_stream(City, **REQUEST) as events:
        with pytest.raises(RuntimeError, match="to its end"):
            _ = events.parsed
        texts = [str(event.data.choices[0].delta.content) for event in events]
    assert len(texts) > 2
    assert events.parsed == City.model_validate_json("".join(texts))


async def test_an_async_stream_ends_with_an_object(tiny_server: RunningServer) -> None:
    async with Mistral(server_url=tiny_server.url) as mistral:
        async with await mistral.chat.parse_stream_async(City, **REQUEST) as events:
            assert len([event async for event in events]) > 2
        assert events.parsed.name


def test_an_answer_that_was_cut_off_is_told(mistral: Mistral) -> None:
    with pytest.raises(models.ResponseValidationError, match="increase max_tokens"):
        mistral.chat.parse(City, **REQUEST | {"max_tokens": 3})
    with mistral.chat.parse_stream(City, **REQUEST | {"max_tokens": 3}) as events:
        list(events)
    with pytest.raises(models.ResponseValidationError, match="increase max_tokens"):
        _ = events.parsed


def answered(content: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return ANSWER | {"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}


def test_thoughts_are_no_part_of_the_object() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "{"}]}
    content = [thought, {"type": "text", "text": '{"name": "Paris", "country": "France"}'}]
    delta = {"index": 0, "delta": {"content": content}, "finish_reason": "stop"}
    expected = City(name="Paris", country="France")
    with misbehaving(respond(200, answered(content))) as server, Mistral(server_url=server.url) as mistral:
        assert mistral.chat.parse(City, **REQUEST).choices[0].message.parsed == expected
    with misbehaving(stream(event(CHUNK | {"choices": [delta]}), DONE)) as server:
        with Mistral(server_url=server.url) as mistral, mistral.chat.parse_stream(City, **REQUEST) as events:
            list(events)
        assert events.parsed == expected


def test_a_text_of_a_new_form_is_no_part_of_the_object() -> None:
    content = [{"type": "text", "words": ["{"]}, {"type": "text", "text": '{"name": "Paris", "country": "France"}'}]
    with misbehaving(respond(200, answered(content))) as server, Mistral(server_url=server.url) as mistral:
        assert mistral.chat.parse(City, **REQUEST).choices[0].message.parsed


def test_an_answer_without_content_has_no_object() -> None:
    with misbehaving(respond(200, answered(None))) as server, Mistral(server_url=server.url) as mistral:
        assert mistral.chat.parse(City, **REQUEST).choices[0].message.parsed is None


def test_calls_instead_of_a_text_have_no_object() -> None:
    call = {"id": "abcdefgh1", "function": {"name": "look", "arguments": "{}"}}
    choice = {"index": 0, "finish_reason": "tool_calls"}
    choices = [choice | {"message": {"role": "assistant", "content": "", "tool_calls": [call]}}]
    with misbehaving(respond(200, ANSWER | {"choices": choices})) as server, Mistral(server_url=server.url) as mistral:
        message = mistral.chat.parse(City, **REQUEST).choices[0].message
    assert message.parsed is None
    assert message.tool_calls


def test_an_answer_of_another_shape_is_told() -> None:
    wrong = respond(200, answered('{"name": 1}'))
    with misbehaving(wrong) as server, pytest.raises(models.ResponseValidationError, match="not a valid City"):
        Mistral(server_url=server.url).chat.parse(City, **REQUEST)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Palette(BaseModel):
    colours: frozenset[Colour]
    names: set[Name]
    two: Annotated[set[Colour], Field(min_length=2)]
    longer: Annotated[set[Name], Field(min_length=2)]


def test_sets_are_parsed() -> None:
    schema = format_of(Palette).model_dump(by_alias=True)["json_schema"]["schema"]
    assert [name for name, part in schema["properties"].items() if "uniqueItems" in part] == ["two"]
    text = '{"colours": ["red", "red"], "names": ["a", "a"], "two": ["red", "blue"], "longer": ["a", "b"]}'
    with misbehaving(respond(200, answered(text))) as server, Mistral(server_url=server.url) as mistral:
        parsed = mistral.chat.parse(Palette, **REQUEST).choices[0].message.parsed
    assert parsed
    assert (parsed.colours, parsed.names) == (frozenset([Colour.RED]), {"a"})


def test_answer_with_sets_is_enforced(mistral: Mistral) -> None:
    class Two(BaseModel):
        colours: Annotated[frozenset[Colour], Field(min_length=2)]
        names: Annotated[set[Name], Field(max_length=3)]

    parsed = mistral.chat.parse(Two, **REQUEST | {"temperature": 1.0}).choices[0].message.parsed
    assert parsed
    assert parsed.colours == {Colour.RED, Colour.BLUE}


def test_schemas_are_closed_unless_they_say_otherwise() -> None:
    schema = format_of(Trip).model_dump(by_alias=True)["json_schema"]
    assert schema["name"] == "Trip"
    assert schema["strict"] is True
    assert schema["schema"]["additionalProperties"] is False
    assert schema["schema"]["$defs"]["City"]["additionalProperties"] is False
    assert schema["schema"]["properties"]["days"]["additionalProperties"] == {"type": "integer"}
