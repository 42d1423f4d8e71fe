"""Texts of prompts: short prompts that all differ, and long texts of an approximate number of tokens."""

import random
from functools import cache
from itertools import product

TASKS = (
    "Tell a story about",
    "Explain to a child",
    "List seven facts about",
    "Write a letter about",
    "Describe in plain words",
    "Give advice on",
    "Compare two views of",
    "Draft a speech on",
    "Invent a legend of",
    "Plan a lesson about",
    "Sketch the history of",
    "Argue for and against",
    "Ask ten questions about",
    "Write a poem on",
    "Summarise what is known of",
    "Imagine the future of",
)
SUBJECTS = (
    "lighthouses",
    "sourdough bread",
    "the north wind",
    "railway clocks",
    "honey bees",
    "river ferries",
    "chess endings",
    "mountain huts",
    "paper maps",
    "coral reefs",
    "street music",
    "old bridges",
    "winter gardens",
    "sailing ships",
    "comets",
    "libraries",
    "volcanoes",
    "wool and weaving",
    "salt marshes",
    "night trains",
    "pottery",
    "migrating cranes",
    "harbour cranes",
    "mushrooms",
    "telescopes",
    "market days",
    "stone walls",
    "tea",
    "tides",
    "bicycles",
    "whales",
    "ink",
)
TOKENS_PER_SENTENCE = 6.9
"""Approximate tokens of a task with its subject. Vocabularies differ; reports give the server's count."""


@cache
def shuffled_prompts(seed: int) -> tuple[str, ...]:
    """Return all pairs of a task and a subject, in an order that depends on the seed."""
    prompts = [f"{task} {subject}." for task, subject in product(TASKS, SUBJECTS)]
    random.Random(seed).shuffle(prompts)
    return tuple(prompts)


@cache
def long_text(seed: int, tokens: int) -> str:
    """Return sentences of about `tokens` tokens together. Texts of different seeds differ from the first sentence."""
    words = random.Random(seed)
    count = round(tokens / TOKENS_PER_SENTENCE)
    sentences = [f"{words.choice(TASKS)} {words.choice(SUBJECTS)}." for _ in range(count)]
    return " ".join([f"{seed} notes.", *sentences])
