"""Twenty questions, and the five tools that the model has when it is asked them: five questions need none."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = str | int | float
Schema = dict[str, object]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and the call that answers it.

    Attributes:
        text: What the user says.
        function: The function that must be called, or None where the model is to answer by itself.
        values: Arguments whose values are plain: the number itself, or words that must be in the text.
    """

    text: str
    function: str | None = None
    values: Mapping[str, Value] = field(default_factory=dict[str, Value])


def text(description: str, **limits: object) -> Schema:
    """Return the schema of a text."""
    return {"type": "string", "description": description, **limits}


def number(kind: str, description: str, **limits: object) -> Schema:
    """Return the schema of a number."""
    return {"type": kind, "description": description, **limits}


def tool(name: str, description: str, properties: Mapping[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    """Return a tool as requests have it."""
    parameters = {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TOOLS: tuple[Schema, ...] = (
    tool(
        "get_weather",
        "Get the current weather in a city.",
        {
            "city": text("The name of the city"),
            "unit": text("The unit of the temperature", enum=["celsius", "fahrenheit"]),
        },
        optional=("unit",),
    ),
    tool(
        "search_flights",
        "Search for flights between two cities.",
        {
            "origin": text("The city to fly from"),
            "destination": text("The city to fly to"),
            "passengers": number("integer", "How many people travel", minimum=1, maximum=9),
            "travel_class": text("The class to fly in", enum=["economy", "business"]),
        },
        optional=("passengers", "travel_class"),
    ),
    tool(
        "convert_currency",
        "Convert an amount of money from one currency to another at today's rate.",
        {
            "amount": number("number", "The amount of money", minimum=0),
            "from_currency": text("The three-letter code of the currency of the amount", pattern="^[A-Z]{3}$"),
            "to_currency": text("The three-letter code of the currency to convert to", pattern="^[A-Z]{3}$"),
        },
    ),
    tool(
        "create_reminder",
        "Remind the user of something at a time of day.",
        {
            "text": text("What to remind the user of"),
            "time": text("When, as hours and minutes on a 24-hour clock", pattern="^[0-2][0-9]:[0-5][0-9]$"),
        },
    ),
    tool(
        "send_message",
        "Send a text message to one of the user's contacts.",
        {
            "recipient": text("The name of the contact"),
            "body": text("What the message says", maxLength=300),
        },
    ),
)

QUESTIONS = (
    Question("What is the weather in Paris right now?", "get_weather", {"city": "Paris"}),
    Question("Do I need an umbrella in Oslo today?", "get_weather", {"city": "Oslo"}),
    Question(
        "How warm is it in Lisbon at the moment, in degrees Fahrenheit?",
        "get_weather",
        {"city": "Lisbon", "unit": "fahrenheit"},
    ),
    Question(
        "Find me a flight from Berlin to Madrid.", "search_flights", {"origin": "Berlin", "destination": "Madrid"}
    ),
    Question(
        "I want to fly from Tokyo to Sydney in business class.",
        "search_flights",
        {"origin": "Tokyo", "destination": "Sydney", "travel_class": "business"},
    ),
    Question(
        "Which flights are there from Rome to Vienna for three passengers?",
        "search_flights",
        {"origin": "Rome", "destination": "Vienna", "passengers": 3},
    ),
    Question(
        "How much is 100 US dollars in euros?",
        "convert_currency",
        {"amount": 100, "from_currency": "USD", "to_currency": "EUR"},
    ),
    Question(
        "Convert 250 GBP to JPY.", "convert_currency", {"amount": 250, "from_currency": "GBP", "to_currency": "JPY"}
    ),
    Question(
        "I have 40 Swiss francs. What do I get for them in US dollars?",
        "convert_currency",
        {"amount": 40, "from_currency": "CHF", "to_currency": "USD"},
    ),
    Question("Remind me at 18:30 to call my mother.", "create_reminder", {"text": "mother", "time": "18:30"}),
    Question(
        "Set a reminder for 7 in the morning: take out the bins.", "create_reminder", {"text": "bins", "time": "07:00"}
    ),
    Question(
        "Please don't let me forget to water the plants at 21:00.",
        "create_reminder",
        {"text": "plants", "time": "21:00"},
    ),
    Question(
        "Send Anna a message that I will be ten minutes late.", "send_message", {"recipient": "Anna", "body": "late"}
    ),
    Question(
        "Let Marco know that the meeting has moved to Friday.", "send_message", {"recipient": "Marco", "body": "Friday"}
    ),
    Question("Text Priya: happy birthday!", "send_message", {"recipient": "Priya", "body": "birthday"}),
    Question("Who wrote the play Hamlet?"),
    Question("Write a haiku about autumn leaves."),
    Question("What is the capital of Australia?"),
    Question("Translate 'good morning' into French."),
    Question("Explain in one sentence what a prime number is."),
)
