"""Texts of the fields that chat and fill-in-the-middle requests share."""

from ponant.server.document.texts.field_text import FieldText

TOP_P = FieldText(
    "Nucleus sampling: tokens are drawn from the smallest set of most likely tokens whose probabilities add up to this "
    "value, from 0 to 1. With 0.1, only the tokens in the top 10% of the probability mass are considered. Change this "
    "or `temperature`, not both.",
    1,
)
MAX_TOKENS = FieldText(
    "Maximum number of tokens to generate. The prompt plus `max_tokens` cannot exceed the model's context length; more "
    "is refused. With null, generation runs until the model ends the answer or the context is full. 0 generates "
    "nothing.",
    512,
)
MIN_TOKENS = FieldText(
    "Minimum number of tokens to generate: the model cannot end the answer earlier. At most `max_tokens`. Null means "
    "0.",
    16,
)
STREAM = FieldText(
    "True to send the answer as server-sent events while it is generated: each event holds a piece, and the stream "
    "ends with `data: [DONE]`. False to send one JSON object when the answer is complete.",
    False,
)
STOP = FieldText("A string, or a list of strings, at which generation stops. The answer does not include it.", ["END"])
RANDOM_SEED = FieldText(
    "Seed of the random number generator, from 0 to 2^64. On an idle server, the same request with the same seed "
    "returns the same text. With null, each request gets a new seed.",
    1337,
)
METADATA = FieldText("Any JSON object. Accepted without effect.", {"session": "7f1c"})
PROMPT_CACHE_KEY = FieldText(
    "Accepted without effect: prompts with a common prefix share its computation in any case.", "painters"
)


def temperature(default: float, others: str) -> FieldText:
    """Return the text of the temperature.

    Args:
        default: the default of the model that answers requests without another model's name.
        others: sentence with the defaults of other models; empty for none.
    """
    return FieldText(
        "Sampling temperature. The Mistral API reference gives a range from 0 to 1; the API accepts values up to 1.5, "
        "and so does this server. Higher values such as 0.8 make the answer more random, lower ones such as 0.2 more "
        f"focused; 0 always takes the most likely token. Change this or `top_p`, not both. Null means the model's "
        f"default, {default:g}.{others}",
        0.7,
        default,
    )
