"""A scenario of prediction: a file is written again with one line changed, and the old file is the prediction.

The bundled model is too small for more than that: asked to change a line of code, it forgets the change or the rest. So
the file is a table, the one in the prompt has the changed line already, and its first line is given as the beginning of
the answer. The prediction is the old file: the answer departs from it where the line was changed, and wherever the
model is mistaken.
"""

from dataclasses import dataclass
from enum import StrEnum

from benchmarks.dialects import Message, Request
from benchmarks.exchange import Exchange, Target, send
from benchmarks.measure import sum_known, warm_up
from benchmarks.scenario import Outcome, Session

BEGINNING = """```python
LAMPS = {"""
REST = """
    "alder": {"height": 12, "seconds": 5, "range": 118},
    "birch": {"height": 31, "seconds": 8, "range": 205},
    "cedar": {"height": 24, "seconds": 3, "range": 160},
    "elder": {"height": 17, "seconds": 9, "range": 131},
    "hazel": {"height": 45, "seconds": 4, "range": 274},
    "larch": {"height": 28, "seconds": 7, "range": 187},
    "maple": {"height": 36, "seconds": 6, "range": 219},
    "olive": {"height": 19, "seconds": 2, "range": 142},
    "rowan": {"height": 22, "seconds": 5, "range": 153},
    "thorn": {"height": 40, "seconds": 3, "range": 236},
    "willow": {"height": 33, "seconds": 8, "range": 198},
    "yew": {"height": 26, "seconds": 4, "range": 171},
}
```"""
CHANGES = (
    ('"height": 45, "seconds": 4', '"height": 54, "seconds": 4'),
    ('"range": 219', '"range": 912'),
    ('"height": 24, "seconds": 3, "range": 160', '"height": 62, "seconds": 1, "range": 485'),
)
MOST_TOKENS = 400


class Prediction(StrEnum):
    """What a request predicts."""

    NOTHING = "nothing"
    OLD_FILE = "the old file"
    ANSWER = "the answer of an earlier run"


@dataclass(frozen=True, slots=True)
class Rewriting:
    """One client has the file written again, once with each change."""

    prediction: Prediction

    @property
    def name(self) -> str:
        """What is predicted."""
        return f"repeat a file with one line changed, prediction: {self.prediction}"

    async def run(self, session: Session) -> Outcome:
        """Send a request for each change."""
        await warm_up(session.target, temperature=0)
        exchanges = [await self.rewrite(session.target, change) for change in CHANGES]
        outcome = Outcome()
        good = outcome.count(*exchanges)
        if good:
            tokens = sum(exchange.tokens for exchange in good)
            outcome.add("tokens/s", tokens / sum(exchange.finished - exchange.started for exchange in good))
            outcome.add("tokens", tokens)
            outcome.add("answers without a mistake, %", faithful_part(exchanges), 100)
            outcome.add("tokens accepted", sum_known([exchange.accepted for exchange in good]))
            outcome.add("tokens rejected", sum_known([exchange.rejected for exchange in good]))
        return outcome

    async def rewrite(self, target: Target, change: tuple[str, str]) -> Exchange:
        """Send one request."""
        prediction = await self.predict(target, change)
        return await send(target, request(change, prediction))

    async def predict(self, target: Target, change: tuple[str, str]) -> str | None:
        """Return what is predicted; where that is the answer itself, ask for it first."""
        match self.prediction:
            case Prediction.NOTHING:
                return None
            case Prediction.OLD_FILE:
                return BEGINNING + REST
            case Prediction.ANSWER:
                return "".join((await send(target, request(change))).text)


def request(change: tuple[str, str], prediction: str | None = None) -> Request:
    """Return the request to repeat the file with one change."""
    file = BEGINNING + REST.replace(*change)
    return Request(
        messages=(Message("user", f"Repeat this file.\n\n{file}"), Message("assistant", BEGINNING, prefix=True)),
        tokens=MOST_TOKENS,
        exact=False,
        prediction=prediction,
    )


def faithful_part(exchanges: list[Exchange]) -> float:
    """Return what part of the answers, one for each change, have every line as it was asked for."""
    wanted = [BEGINNING + REST.replace(*change) for change in CHANGES]
    answers = ["".join(exchange.text).strip() for exchange in exchanges]
    return sum(map(str.__eq__, wanted, answers)) / len(wanted)
