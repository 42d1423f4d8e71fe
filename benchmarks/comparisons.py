"""What is compared: Ponant with its peers under every load, and with itself where a setting is the question."""

from dataclasses import dataclass, replace

from benchmarks.arrival import Arrival
from benchmarks.loads import (
    EIGHT_CHOICES,
    ONE_CLIENT,
    ONE_CLIENT_GREEDY,
    SHARED_PROMPT,
    SIXTEEN_CLIENTS,
    SIXTEEN_CLIENTS_GREEDY,
)
from benchmarks.rewriting import Prediction, Rewriting
from benchmarks.scenario import Scenario
from benchmarks.scenarios import PREDICTED, RATES, REQUEST_TIME, WALL_TIME, Chat, FirstAnswer, Memory
from benchmarks.servers import Contender
from benchmarks.setups import ARRIVAL, EIGHT, MEMORY, SHORT, START, Setup
from benchmarks.texts import long_text

STREAMS = replace(ONE_CLIENT, name="streams", clients=8, requests=1, tokens=1_600, first_prompt=300)
LONG_PROMPT = replace(ONE_CLIENT, name="long prompt", requests=2, tokens=8, first_prompt=350, prompt_tokens=6_000)
USELESS_PREDICTION = replace(
    ONE_CLIENT_GREEDY,
    name=f"{ONE_CLIENT_GREEDY.name}, prediction: unrelated text",
    prediction=long_text(seed=5, tokens=300),
)
FIRST_REQUEST = replace(ONE_CLIENT, name="first request", requests=1, tokens=1)

AGAINST_PEERS: dict[str, tuple[Setup, Scenario]] = {
    "one": (SHORT, Chat(ONE_CLIENT, RATES)),
    "sixteen": (SHORT, Chat(SIXTEEN_CLIENTS, RATES)),
    "one-greedy": (SHORT, Chat(ONE_CLIENT_GREEDY, RATES)),
    "sixteen-greedy": (SHORT, Chat(SIXTEEN_CLIENTS_GREEDY, RATES)),
    "shared-prompt": (EIGHT, Chat(SHARED_PROMPT, WALL_TIME)),
    "choices": (EIGHT, Chat(EIGHT_CHOICES, REQUEST_TIME)),
    "memory": (MEMORY, Memory(SIXTEEN_CLIENTS)),
    "fairness": (ARRIVAL, Arrival(STREAMS, LONG_PROMPT, tokens_before=32)),
    "start": (START, FirstAnswer(FIRST_REQUEST)),
}
"""By the names that `--loads` takes, what is compared with every peer."""

LOADS = (*AGAINST_PEERS, "prediction", "prepared")
"""All names that `--loads` takes."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A scenario with a server that was started in some way."""

    contender: Contender
    setup: Setup
    scenario: Scenario


@dataclass(frozen=True, slots=True)
class Comparison:
    """One trial of Ponant's, and those it is compared with."""

    name: str
    ours: Trial
    others: tuple[Trial, ...]


def make_comparisons(names: list[str], ponant: Contender, peers: list[Contender]) -> list[Comparison]:
    """Return the comparisons of the loads with these names, in the order of `LOADS`."""
    comparisons: list[Comparison] = []
    for name in (name for name in LOADS if name in names):
        match name:
            case "prediction":
                comparisons += against_no_drafting(ponant)
            case "prepared":
                comparisons.append(prepared_weights(ponant, peers))
            case _:
                setup, scenario = AGAINST_PEERS[name]
                others = tuple(Trial(peer, setup, scenario) for peer in peers)
                comparisons.append(Comparison(scenario.name, Trial(ponant, setup, scenario), others))
    return comparisons


def against_no_drafting(ponant: Contender) -> list[Comparison]:
    """Return what drafting gives with good and useless predictions.

    There is no prefix cache, so that every prompt is computed: the requests have prompts in common.
    """
    off = variant(ponant, "no drafting", PONANT_DRAFTING="false", PONANT_PREFIX_CACHE="off")
    on = variant(ponant, "drafting", PONANT_DRAFTING="true", PONANT_PREFIX_CACHE="off")
    repeating = Trial(off, SHORT, Rewriting(Prediction.NOTHING))
    talking = Trial(off, SHORT, Chat(ONE_CLIENT_GREEDY, PREDICTED))
    pairs: list[tuple[Scenario, Trial]] = [
        (Rewriting(Prediction.OLD_FILE), repeating),
        (Rewriting(Prediction.ANSWER), repeating),
        (Rewriting(Prediction.NOTHING), repeating),
        (Chat(USELESS_PREDICTION, PREDICTED), talking),
        (Chat(ONE_CLIENT_GREEDY, PREDICTED), talking),
    ]
    return [Comparison(scenario.name, Trial(on, SHORT, scenario), (without,)) for scenario, without in pairs]


def prepared_weights(ponant: Contender, peers: list[Contender]) -> Comparison:
    """Return what a copy of the weights for fast batches gives, beside Ponant and its peers with the file as it is."""
    prepared = variant(ponant, "prepared weights", PONANT_PREPARE_WEIGHTS="on")
    scenario = Chat(SIXTEEN_CLIENTS, RATES)
    others = tuple(Trial(contender, SHORT, scenario) for contender in (ponant, *peers))
    return Comparison(f"{scenario.name}, with prepared weights", Trial(prepared, SHORT, scenario), others)


def variant(contender: Contender, label: str, **settings: str) -> Contender:
    """Return a contender with other settings, and a name that says so."""
    return replace(contender, name=f"{contender.name}, {label}", settings=settings)
