"""Texts of messages and of their chunks."""

from collections.abc import Mapping

from ponant.server.document.examples.chat import ANSWER, CALL, CALL_ID, QUESTION, RESULT, THINKING
from ponant.server.document.examples.files import FILE_ID
from ponant.server.document.texts.field_text import FieldText, SchemaText

_REFUSED = "Part of the Mistral API. This server's models read text only, so a request with it is refused with a 400."


def _kind(name: str) -> FieldText:
    return FieldText(f"`{name}`, which identifies this type of chunk.", name)


def _role(name: str) -> FieldText:
    return FieldText(f"`{name}`, which identifies this type of message.", name)


MESSAGE_TEXTS: Mapping[str, SchemaText] = {
    "SystemMessage": SchemaText(
        "Instructions for the conversation.",
        {
            "role": _role("system"),
            "content": FieldText("Text of the instructions, or a list of chunks.", "Answer in one short sentence."),
        },
    ),
    "UserMessage": SchemaText(
        "A message from the user.",
        {
            "role": _role("user"),
            "content": FieldText(
                "Text of the message, or a list of text chunks. Other types of chunks are refused.", QUESTION
            ),
        },
    ),
    "AssistantMessage": SchemaText(
        "A message from the model: an answer, or an earlier one sent back as part of the conversation.",
        {
            "role": _role("assistant"),
            "content": FieldText(
                "Text of the message; with reasoning, a list of the thinking and the text. Required without "
                "`tool_calls`.",
                ANSWER,
            ),
            "tool_calls": FieldText("Function calls. Each one needs a result in the messages that follow.", [CALL]),
            "prefix": FieldText(
                "True in the last message of a request to make its content the beginning of the answer.",
                False,
            ),
        },
    ),
    "ToolMessage": SchemaText(
        "The result of a call.",
        {
            "role": _role("tool"),
            "content": FieldText("Text of the result, often JSON, or a list of text chunks.", RESULT),
            "tool_call_id": FieldText("Id of the call. Without it, the result belongs to the next call.", CALL_ID),
            "name": FieldText("Name of the function. With null, it is taken from the call.", "get_weather"),
        },
    ),
    "ToolCall": SchemaText(
        "A function call.",
        {
            "id": FieldText(
                "Id of the call, which its result repeats: nine letters and digits, as models with Mistral's tokenizer "
                "require. The string `null` marks a call without an id.",
                CALL_ID,
            ),
            "type": FieldText("`function`, the only type of tool.", "function"),
            "function": FieldText("The function and its arguments.", CALL["function"]),
            "index": FieldText("Position of the call in the message, from 0.", 0),
        },
    ),
    "FunctionCall": SchemaText(
        "A function and its arguments.",
        {
            "name": FieldText("Name of the function.", "get_weather"),
            "arguments": FieldText(
                "Arguments by name: a string with JSON, as in answers, or an object.", CALL["function"]["arguments"]
            ),
        },
    ),
    "TextChunk": SchemaText(
        "A piece of text.", {"type": _kind("text"), "text": FieldText("The text.", "They have 12 legs.")}
    ),
    "ThinkChunk": SchemaText(
        "The thinking of a model before its answer.",
        {
            "type": _kind("thinking"),
            "thinking": FieldText("Chunks of the thinking.", THINKING[0]["thinking"]),
            "signature": FieldText("Accepted without effect. Answers have none.", None),
            "closed": FieldText("Accepted without effect: false marks thinking that has not ended.", True),
        },
    ),
    "ReferenceChunk": SchemaText(
        f"References to sources. {_REFUSED} Within thinking it is ignored.",
        {
            "type": _kind("reference"),
            "reference_ids": FieldText("Numbers of the sources, as 64-bit integers.", [1, 2]),
        },
    ),
    "ToolReferenceChunk": SchemaText(
        "A source that a built-in tool of the Mistral platform found. Ignored within thinking.",
        {
            "type": _kind("tool_reference"),
            "tool": FieldText("Name of the tool.", "web_search"),
            "title": FieldText("Title of the source.", "Claude Monet"),
            "url": FieldText("Address of the source.", "https://example.org/monet"),
            "favicon": FieldText("Address of the source's icon.", "https://example.org/favicon.ico"),
            "description": FieldText("Summary of the source.", "A French painter, 1840 to 1926."),
        },
    ),
    "ImageURLChunk": SchemaText(
        f"An image. {_REFUSED}",
        {
            "type": _kind("image_url"),
            "image_url": FieldText("Address of the image, or a data URL.", "https://example.org/sea.png"),
        },
    ),
    "ImageURL": SchemaText(
        f"The address of an image. {_REFUSED}",
        {
            "url": FieldText("Address of the image, or a data URL.", "https://example.org/sea.png"),
            "detail": FieldText("Level of detail at which the image is read.", "auto"),
        },
    ),
    "DocumentURLChunk": SchemaText(
        f"A document. {_REFUSED}",
        {
            "type": _kind("document_url"),
            "document_url": FieldText("Address of the document.", "https://example.org/report.pdf"),
            "document_name": FieldText("Name of the document.", "report.pdf"),
        },
    ),
    "FileChunk": SchemaText(
        f"An uploaded file. {_REFUSED}",
        {"type": _kind("file"), "file_id": FieldText("Id of the file.", FILE_ID)},
    ),
    "AudioChunk": SchemaText(
        f"Audio. {_REFUSED}",
        {"type": _kind("input_audio"), "input_audio": FieldText("Content of the audio file in base64.", "UklGRg==")},
    ),
}
