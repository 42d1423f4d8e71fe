"""Texts of the fields that chat and fill-in-the-middle requests share."""

from ponant.server.document.texts.field_text import FieldText

TOP_P = FieldText(
    "Nucleus sampling: tokens are drawn from the smallest set of most likely tokens whose probabilities sum to this "
    "share, from 0 to 1. With 0.1 only the tokens of the top 10% of the probability mass are considered. Change this "
    "or `temperature`, not both.",
    1,
)
MAX_TOKENS = FieldText(
    "Most tokens to generate. The tokens of the prompt plus `max_tokens` cannot exceed the model's context; more is "
    "refused. Null generates until the model ends the answer or the context is full. 0 generates nothing.",
    512,
)
MIN_TOKENS = FieldText(
    "Fewest tokens to generate: the model cannot end the answer before. Null is 0. At most `max_tokens`.", 16
)
STREAM = FieldText(
    "True to send the answer as server-sent events while it is generated: each event has a piece, and the stream ends "
    "with `data: [DONE]`. False to send one JSON object when the answer is complete.",
    False,
)
STOP = FieldText(
    "Text, or list of texts, that ends the answer where it appears. The answer does not contain it.", ["END"]
)
RANDOM_SEED = FieldText(
    "Seed of the random numbers, from 0 to 2^64. On an idle server the same request with the same seed gets the same "
    "text. Null draws new numbers for each request.",
    1337,
)
METADATA = FieldText("Any object. Accepted without effect.", {"session": "7f1c"})
PROMPT_CACHE_KEY = FieldText(
    "Accepted without effect: prompts that begin alike share their computation anyway.", "painters"
)


def temperature(default: float, others: str) -> FieldText:
    """Return the text of the temperature.

    Args:
        default: the default of the model that answers requests without another model's name.
        others: sentence with the defaults of other models; empty for none.
    """
    return FieldText(
        "Sampling temperature. The reference of the Mistral API names values from 0 to 1; the API accepts up to 1.5, "
        "and so does this server. Values like 0.8 make the answer more random, values like 0.2 more focused; 0 always "
        f"takes the most likely token. Change this or `top_p`, not both. Null is the model's default, {default:g}."
        f"{others}",
        0.7,
        default,
    )
