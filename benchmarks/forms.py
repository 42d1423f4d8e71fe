"""The documents that are asked for: a form of twenty fields, filled in for an invented person."""

from benchmarks.dialects import Message, Request
from benchmarks.texts import SUBJECTS

MOST_TOKENS = 700
"""More than any document has."""

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "first_name": {"type": "string", "minLength": 1, "maxLength": 20},
        "last_name": {"type": "string", "minLength": 1, "maxLength": 20},
        "title": {"enum": ["none", "Dr", "Prof"]},
        "age": {"type": "integer", "minimum": 18, "maximum": 99},
        "street": {"type": "string", "minLength": 1, "maxLength": 30},
        "house_number": {"type": "integer", "minimum": 1, "maximum": 999},
        "postal_code": {"type": "string", "minLength": 4, "maxLength": 8},
        "city": {"type": "string", "minLength": 1, "maxLength": 20},
        "country": {"enum": ["Austria", "Denmark", "France", "Germany", "Italy", "Portugal", "Spain"]},
        "email_address": {"type": "string", "minLength": 5, "maxLength": 30},
        "phone_number": {"type": "string", "minLength": 5, "maxLength": 15},
        "occupation": {"type": "string", "minLength": 1, "maxLength": 30},
        "years_employed": {"type": "integer", "minimum": 0, "maximum": 60},
        "marital_status": {"enum": ["single", "married", "divorced", "widowed"]},
        "number_of_children": {"type": "integer", "minimum": 0, "maximum": 12},
        "preferred_contact": {"enum": ["email", "phone", "post"]},
        "owns_a_car": {"type": "boolean"},
        "wants_newsletter": {"type": "boolean"},
        "accepts_the_terms": {"type": "boolean"},
        "remarks": {"type": "string", "maxLength": 60},
    },
    "additionalProperties": False,
}
SCHEMA["required"] = list(SCHEMA["properties"])  # type: ignore[call-overload]  # it is the dict above

EXAMPLE = {
    "first_name": "Helena",
    "last_name": "Marques",
    "title": "Dr",
    "age": 46,
    "street": "Rua das Flores",
    "house_number": 112,
    "postal_code": "4050-262",
    "city": "Porto",
    "country": "Portugal",
    "email_address": "helena.marques@example.org",
    "phone_number": "+351 220 123456",
    "occupation": "lighthouse engineer",
    "years_employed": 19,
    "marital_status": "married",
    "number_of_children": 2,
    "preferred_contact": "phone",
    "owns_a_car": False,
    "wants_newsletter": True,
    "accepts_the_terms": True,
    "remarks": "Can be reached in the evening only.",
}
"""A document that satisfies the schema."""


def document_request(number: int) -> Request:
    """Return the request for a document."""
    return Request(messages(number), tokens=MOST_TOKENS, temperature=0.7, exact=False, schema=SCHEMA)


def text_request(number: int, tokens: int) -> Request:
    """Return the request for a free text of so many tokens about the same person."""
    return Request(messages(number), tokens=tokens, temperature=0.7)


def messages(number: int) -> tuple[Message, ...]:
    """Return what the user says; no two of some hundred requests say the same."""
    age, place = divmod(number, len(SUBJECTS))
    return (Message("user", f"Describe an invented person of {20 + age} who lives for {SUBJECTS[place]}."),)
