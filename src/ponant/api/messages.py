"""The messages of a conversation and the chunks that their content is made of."""

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from ponant.api.base import RequestModel


class TextChunk(RequestModel):
    """A piece of text."""

    type: Literal["text"] = "text"
    text: str


class ImageURL(RequestModel):
    """Where an image is, with the detail at which to read it."""

    url: str
    detail: Literal["low", "auto", "high"] | None = None


class ImageURLChunk(RequestModel):
    """An image, by address or as a data URL."""

    type: Literal["image_url"] = "image_url"
    image_url: ImageURL | str


class DocumentURLChunk(RequestModel):
    """A document, by address."""

    type: Literal["document_url"] = "document_url"
    document_url: str
    document_name: str | None = None


class ReferenceChunk(RequestModel):
    """References to sources that were given to the model."""

    type: Literal["reference"] = "reference"
    reference_ids: list[int]


class FileChunk(RequestModel):
    """A file that was uploaded before."""

    type: Literal["file"] = "file"
    file_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]


class AudioChunk(RequestModel):
    """Sound, as base64."""

    type: Literal["input_audio"] = "input_audio"
    input_audio: Annotated[str, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "string", "format": "binary"}]})]


class ToolReferenceChunk(RequestModel):
    """A source that a built-in tool found."""

    type: Literal["tool_reference"] = "tool_reference"
    tool: Literal["web_search", "web_search_premium", "code_interpreter", "image_generation", "document_library"] | str
    title: str
    url: str | None = None
    favicon: str | None = None
    description: str | None = None


class ThinkChunk(RequestModel):
    """What a reasoning model thought before it answered."""

    type: Literal["thinking"] = "thinking"
    thinking: list[TextChunk | ToolReferenceChunk | ReferenceChunk]
    closed: bool = True


ContentChunk = Annotated[
    TextChunk | ImageURLChunk | DocumentURLChunk | ReferenceChunk | FileChunk | ThinkChunk | AudioChunk,
    Field(discriminator="type"),
]
SystemMessageContentChunks = Annotated[TextChunk | ThinkChunk, Field(discriminator="type")]


class FunctionCall(RequestModel):
    """The function that a tool call names, with its arguments as an object or as JSON text."""

    name: str
    arguments: dict[str, Any] | str


class ToolCall(RequestModel):
    """A call of a tool, made by the model."""

    id: str = "null"
    type: Literal["function"] = "function"
    function: FunctionCall
    index: int = 0


class SystemMessage(RequestModel):
    """Instructions that stand above the conversation."""

    role: Literal["system"] = "system"
    content: str | list[SystemMessageContentChunks]


class UserMessage(RequestModel):
    """What the user says."""

    role: Literal["user"] = "user"
    content: str | list[ContentChunk] | None


class AssistantMessage(RequestModel):
    """What the model said. As the last message with ``prefix`` set, it is the forced beginning of the answer."""

    role: Literal["assistant"] = "assistant"
    content: str | list[ContentChunk] | None = None
    tool_calls: list[ToolCall] | None = None
    prefix: bool = False


class ToolMessage(RequestModel):
    """The result of a tool call, named by the call's id."""

    role: Literal["tool"] = "tool"
    content: str | list[ContentChunk] | None
    tool_call_id: str | None = None
    name: str | None = None


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]
