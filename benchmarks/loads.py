"""What is asked of a server: how many clients, how many requests, which prompts, how many tokens."""

import random
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class Load:
    """Clients that each send requests one after the other, every request with a prompt of its own.

    Attributes:
        name: What the load is called in reports.
        clients: How many clients run at once.
        requests: How many requests each client sends.
        tokens: How many tokens each request asks for.
        temperature: The sampling temperature; 0 asks every server for the same work.
        seed: Fixes the order of the prompts and the seeds of the requests.
        seeded: Whether requests carry a seed. Most clients send none.
        first_prompt: Where in the list of prompts this load begins. Loads that run against one server begin at
            different places, so that none finds its prompts in the server's cache.
    """

    name: str
    clients: int
    requests: int
    tokens: int
    temperature: float = 0.0
    seed: int = 1
    seeded: bool = True
    first_prompt: int = 0

    @property
    def total_requests(self) -> int:
        """The number of requests of all clients together."""
        return self.clients * self.requests

    def prompt(self, number: int) -> str:
        """Return the prompt of one request, counted over all clients from 0."""
        prompts = shuffled_prompts(self.seed)
        repeat, place = divmod(self.first_prompt + number, len(prompts))
        return prompts[place] if repeat == 0 else f"Version {repeat + 1}. {prompts[place]}"

    def request_seed(self, number: int) -> int:
        """Return the sampling seed of one request."""
        return self.seed * 10_000 + self.first_prompt + number


@cache
def shuffled_prompts(seed: int) -> tuple[str, ...]:
    """Return every pairing of a task and a subject, in an order that the seed decides."""
    prompts = [f"{task} {subject}." for task, subject in product(TASKS, SUBJECTS)]
    random.Random(seed).shuffle(prompts)
    return tuple(prompts)


ONE_CLIENT = Load(name="1 client × 128 tokens", clients=1, requests=3, tokens=128, temperature=0.7, seeded=False)
SIXTEEN_CLIENTS = replace(ONE_CLIENT, name="16 clients × 64 tokens", clients=16, requests=2, tokens=64, first_prompt=50)
ONE_CLIENT_GREEDY = replace(ONE_CLIENT, name=f"{ONE_CLIENT.name}, greedy", temperature=0, first_prompt=100)
SIXTEEN_CLIENTS_GREEDY = replace(
    SIXTEEN_CLIENTS, name=f"{SIXTEEN_CLIENTS.name}, greedy", temperature=0, first_prompt=150
)

COMPARED = (ONE_CLIENT, SIXTEEN_CLIENTS, ONE_CLIENT_GREEDY, SIXTEEN_CLIENTS_GREEDY)
"""The loads that `benchmarks.compare` runs against every server."""
