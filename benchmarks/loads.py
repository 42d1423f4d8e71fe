"""What is asked of a server: how many clients, how many requests, which prompts, how many tokens."""

from dataclasses import dataclass, replace

from benchmarks.dialects import Message, Request
from benchmarks.texts import long_text, shuffled_prompts


@dataclass(frozen=True, slots=True)
class Load:
    """Clients that each send requests one after the other, every request with a prompt of its own.

    Attributes:
        name: What the load is called in reports.
        clients: How many clients run at once.
        requests: How many requests each client sends.
        tokens: How many tokens each choice of a request asks for.
        temperature: The sampling temperature; 0 asks every server for the same work.
        seed: Fixes the prompts and the seeds of the requests.
        seeded: Whether requests carry a seed. Most clients send none.
        first_prompt: Where in the list of prompts this load begins. Loads that run against one server begin at
            different places, so that none finds its prompts in the server's cache.
        choices: How many completions each request asks for.
        prompt_tokens: About how long each prompt is, where it is a long text; 0 for the short prompts.
        shared_tokens: About how long the system prompt is that all requests share; 0 for none.
        exact: Whether an end before all tokens are there is forbidden.
        prediction: What every answer is said to be.
    """

    name: str
    clients: int
    requests: int
    tokens: int
    temperature: float = 0.0
    seed: int = 1
    seeded: bool = True
    first_prompt: int = 0
    choices: int = 1
    prompt_tokens: int = 0
    shared_tokens: int = 0
    exact: bool = True
    prediction: str | None = None

    @property
    def total_requests(self) -> int:
        """The number of requests of all clients together."""
        return self.clients * self.requests

    def request(self, number: int) -> Request:
        """Return one request, counted over all clients from 0."""
        messages = [Message("user", self.prompt(number))]
        if self.shared_tokens:
            messages.insert(0, Message("system", long_text(self.seed + self.first_prompt, self.shared_tokens)))
        return Request(
            messages=tuple(messages),
            tokens=self.tokens,
            temperature=self.temperature,
            seed=self.seed * 10_000 + self.first_prompt + number if self.seeded else None,
            choices=self.choices,
            exact=self.exact,
            prediction=self.prediction,
        )

    def prompt(self, number: int) -> str:
        """Return what the user of one request says."""
        if self.prompt_tokens:
            return long_text(self.seed + self.first_prompt + number, self.prompt_tokens)
        prompts = shuffled_prompts(self.seed)
        repeat, place = divmod(self.first_prompt + number, len(prompts))
        return prompts[place] if repeat == 0 else f"Version {repeat + 1}. {prompts[place]}"


ONE_CLIENT = Load(name="1 client × 128 tokens", clients=1, requests=3, tokens=128, temperature=0.7, seeded=False)
SIXTEEN_CLIENTS = replace(ONE_CLIENT, name="16 clients × 64 tokens", clients=16, requests=2, tokens=64, first_prompt=50)
ONE_CLIENT_GREEDY = replace(ONE_CLIENT, name=f"{ONE_CLIENT.name}, greedy", temperature=0, first_prompt=100)
SIXTEEN_CLIENTS_GREEDY = replace(
    SIXTEEN_CLIENTS, name=f"{SIXTEEN_CLIENTS.name}, greedy", temperature=0, first_prompt=150
)
SHARED_PROMPT = Load(
    name="32 requests, 8 at once, one system prompt of 1,600 tokens, 24 tokens each",
    clients=8,
    requests=4,
    tokens=24,
    temperature=0.7,
    seeded=False,
    first_prompt=200,
    shared_tokens=1_600,
)
EIGHT_CHOICES = Load(
    name="n = 8, prompt of 800 tokens, 48 tokens each",
    clients=1,
    requests=3,
    tokens=48,
    temperature=0.7,
    seeded=False,
    first_prompt=250,
    choices=8,
    prompt_tokens=800,
)
