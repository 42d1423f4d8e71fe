"""Count right answers of the bundled model to simple questions: `python -m benchmarks.first_answer [--seeds 50]`.

`ponant serve` prints a question for the first request, which has no temperature. The bundled model is small and often
wrong, so the first question here is one that it answers right at the default temperature with nearly every seed. An
answer is right if its first sentence has the expected word and none of the words of a wrong one.
"""

import asyncio
import re
from collections import Counter
from dataclasses import dataclass

from benchmarks.cli import make_parser, run
from ponant import Mistral
from ponant.server.run import FIRST_QUESTION

_AT_ONCE = 16
_MOST_TOKENS = 60
"""Longest answer in tokens. The questions have short answers; a longer one is cut, and counts as it stands."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and the patterns of right and wrong answers."""

    text: str
    right: str
    wrong: str = r"$^"

    def is_answered_by(self, answer: str) -> bool:
        """Return True if an answer is right."""
        first = re.split(r"(?<=[.!?])\s", answer.strip())[0]
        return bool(re.search(self.right, first)) and not re.search(self.wrong, first)


QUESTIONS = (
    Question(FIRST_QUESTION, r"\bTokyo\b"),
    Question("Who wrote the play Romeo and Juliet?", r"\bShakespeare\b"),
    Question("In which country is Mount Fuji?", r"\bJapan\b"),
    Question("In which city is the Eiffel Tower?", r"\bParis\b", r"London|Rome|Berlin|New York"),
    Question(
        "Who is the best French painter?", r"Monet|Manet|Renoir|C[ée]zanne|Matisse|Degas|Delacroix|Poussin|Gauguin"
    ),
)


async def main_async(seeds: int) -> None:
    """Ask all questions with all seeds, and print the number of right answers and the wrong ones."""
    places = asyncio.Semaphore(_AT_ONCE)
    async with Mistral.local("smollm2") as mistral:

        async def ask(question: Question, seed: int) -> str:
            async with places:
                response = await mistral.chat.complete_async(
                    model="smollm2",
                    messages=[{"role": "user", "content": question.text}],
                    random_seed=seed,
                    max_tokens=_MOST_TOKENS,
                )
                return str(response.choices[0].message.content)

        for question in QUESTIONS:
            answers = await asyncio.gather(*(ask(question, seed) for seed in range(seeds)))
            right = [answer for answer in answers if question.is_answered_by(answer)]
            print(f"{len(right):3} of {seeds}: {question.text}", flush=True)
            for answer, count in Counter(answers).most_common():
                print(f"    {count:3} {'right' if answer in right else 'wrong'}: {' '.join(answer.split())}")


def main() -> int:
    """Run the program; return its exit code."""
    parser = make_parser("first_answer", __doc__)
    parser.add_argument("--seeds", type=int, default=50, help="seeds, from 0 (%(default)s)")
    asyncio.run(main_async(parser.parse_args().seeds))
    return 0


if __name__ == "__main__":
    run(main)
