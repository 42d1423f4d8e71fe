"""Messages of a conversation, and the chunks of their content."""

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from ponant.api.base import RequestModel
from ponant.api.limits import AtMost
from ponant.api.numbers import Count, Identifier


class TextChunk(RequestModel):
    """A piece of text."""

    type: Literal["text"] = "text"
    text: str


class ImageURL(RequestModel):
    """The URL of an image, and the level of detail to read."""

    url: str
    detail: Literal["low", "auto", "high"] | None = None


class ImageURLChunk(RequestModel):
    """An image, by its URL or as a data URL."""

    type: Literal["image_url"] = "image_url"
    image_url: ImageURL | str


class DocumentURLChunk(RequestModel):
    """A document, by its URL."""

    type: Literal["document_url"] = "document_url"
    document_url: str
    document_name: str | None = None


class ReferenceChunk(RequestModel):
    """References to sources in the model's input. Ids are numbers, or texts as in Mistral's newest client."""

    type: Literal["reference"] = "reference"
    reference_ids: Annotated[list[Identifier | SkipJsonSchema[str]], AtMost("items")]


class FileChunk(RequestModel):
    """An uploaded file."""

    type: Literal["file"] = "file"
    file_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]


class AudioChunk(RequestModel):
    """Audio, base64-encoded."""

    type: Literal["input_audio"] = "input_audio"
    input_audio: Annotated[str, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "string", "format": "binary"}]})]


class ToolReferenceChunk(RequestModel):
    """A source found by a built-in tool."""

    type: Literal["tool_reference"] = "tool_reference"
    tool: Literal["web_search", "web_search_premium", "code_interpreter", "image_generation", "document_library"] | str
    title: str
    url: str | None = None
    favicon: str | None = None
    description: str | None = None


class ThinkChunk(RequestModel):
    """The thinking of a reasoning model before its answer."""

    type: Literal["thinking"] = "thinking"
    thinking: Annotated[list[TextChunk | ToolReferenceChunk | ReferenceChunk], AtMost("chunks")]
    signature: str | None = None
    closed: bool = True


ContentChunk = Annotated[
    TextChunk | ImageURLChunk | DocumentURLChunk | ReferenceChunk | FileChunk | ThinkChunk | AudioChunk,
    Field(discriminator="type"),
]
SystemMessageContentChunks = Annotated[TextChunk | ThinkChunk, Field(discriminator="type")]


class FunctionCall(RequestModel):
    """The function of a tool call, with its arguments as an object or as JSON text."""

    name: str
    arguments: dict[str, Any] | str


class ToolCall(RequestModel):
    """A tool call of the model."""

    id: str = "null"
    type: Literal["function"] = "function"
    function: FunctionCall
    index: Count = 0


class SystemMessage(RequestModel):
    """Instructions for the whole conversation."""

    role: Literal["system"] = "system"
    content: Annotated[str | list[SystemMessageContentChunks], AtMost("chunks")]


class UserMessage(RequestModel):
    """A message of the user."""

    role: Literal["user"] = "user"
    content: Annotated[str | list[ContentChunk] | None, AtMost("chunks")]


class AssistantMessage(RequestModel):
    """A message of the model. The last message, with ``prefix`` set, is the forced beginning of the answer."""

    role: Literal["assistant"] = "assistant"
    content: Annotated[str | list[ContentChunk] | None, AtMost("chunks")] = None
    tool_calls: Annotated[list[ToolCall], AtMost("tools")] | None = None
    prefix: bool = False


class ToolMessage(RequestModel):
    """The result of the tool call with this id."""

    role: Literal["tool"] = "tool"
    content: Annotated[str | list[ContentChunk] | None, AtMost("chunks")]
    tool_call_id: str | None = None
    name: str | None = None


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]
