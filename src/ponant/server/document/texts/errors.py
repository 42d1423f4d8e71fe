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
            "message": FieldText("Cause of the error, and remedy.", ERRORS[400].body["message"]),
            "type": FieldText("Kind of the error, such as `invalid_model`.", ERRORS[400].body["type"]),
            "param": FieldText("Place in the request that caused it; null if there is none.", "top_logprobs"),
            "code": FieldText(
                "Number of the kind of error in the Mistral API, as a text; null if it has none.", "3051"
            ),
        },
    ),
    "HTTPValidationError": SchemaText(
        "The errors of an invalid request.",
        {"detail": FieldText("At most 20 errors.", INVALID["detail"])},
    ),
    "ValidationError": SchemaText(
        "One error of an invalid request.",
        {
            "loc": FieldText(
                "Place in the request: `body`, `query` or `path`, then names and indexes.", _REASON["loc"]
            ),
            "msg": FieldText("Cause of the error.", _REASON["msg"]),
            "type": FieldText("Kind of the error, such as `missing` or `extra_forbidden`.", _REASON["type"]),
            "input": FieldText("The value; long ones are shortened.", _REASON["input"]),
            "ctx": FieldText("Bounds or other values of the rule. This server leaves it out.", {"le": 1.5}),
        },
    ),
    "Unauthorized": SchemaText(
        "The error of a missing or wrong key.", {"detail": FieldText("`Unauthorized`.", "Unauthorized")}
    ),
}
