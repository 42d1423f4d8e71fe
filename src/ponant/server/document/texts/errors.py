"""Texts of errors."""

from collections.abc import Mapping

from ponant.server.document.examples.errors import ERRORS, INVALID
from ponant.server.document.texts.field_text import FieldText, SchemaText

_REASON = INVALID["detail"][0]

ERROR_TEXTS: Mapping[str, SchemaText] = {
    "ErrorResponse": SchemaText(
        "An error.",
        {
            "object": FieldText("`error`.", "error"),
            "message": FieldText("Cause of the error, and how to correct it.", ERRORS[400].body["message"]),
            "type": FieldText("Kind of the error, such as `invalid_model`.", ERRORS[400].body["type"]),
            "param": FieldText("Field or parameter that caused the error; null if there is none.", "top_logprobs"),
            "code": FieldText("Error code of the Mistral API, as a string; null if it has none.", "3051"),
        },
    ),
    "HTTPValidationError": SchemaText(
        "The errors of an invalid request.",
        {"detail": FieldText("The errors, at most 20.", INVALID["detail"])},
    ),
    "ValidationError": SchemaText(
        "One error of an invalid request.",
        {
            "loc": FieldText(
                "Location in the request: `body`, `query` or `path`, followed by names and indexes.", _REASON["loc"]
            ),
            "msg": FieldText("Cause of the error.", _REASON["msg"]),
            "type": FieldText("Kind of the error, such as `missing` or `extra_forbidden`.", _REASON["type"]),
            "input": FieldText("The invalid value. Long values are shortened.", _REASON["input"]),
            "ctx": FieldText("Limits or other details of the rule. This server omits it.", {"le": 1.5}),
        },
    ),
    "Unauthorized": SchemaText(
        "The error of a missing or wrong key.", {"detail": FieldText("`Unauthorized`.", "Unauthorized")}
    ),
}
