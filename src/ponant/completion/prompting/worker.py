"""The process that builds long prompts.

Started as ``python -m ponant.completion.prompting.worker SECONDS MEMORY``: the most seconds of processor time of a
prompt, and the most bytes of memory beyond those of the loaded tokenizers. A prompt that takes longer ends the process
by SIGPROF. Jobs come on standard input and answers go to standard output: a ``Prompt`` or an exception. The process
ends with its input.
"""

import os
import sys
from functools import lru_cache

from ponant.completion.prompting.pipe import PromptSource, packed, read_job
from ponant.errors import InvalidRequestError
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.processes.child import leave_end_to_parent
from ponant.processes.limits import limit_memory, limit_time
from ponant.prompts.build import build_prompts
from ponant.prompts.chat.prompt import Prompt, PromptBuilder
from ponant.prompts.fim.prompts import FimPrompts
from ponant.prompts.request import PromptRequest

_MODELS = 2
"""Number of models whose prompt builders are kept."""


def main() -> None:
    """Build the prompts of the jobs from standard input."""
    leave_end_to_parent()
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    while job := read_job(sys.stdin.buffer):
        chat, fim = _builders(job.source)
        limit_memory(memory)
        limit_time(seconds)
        answer = _build(job.request, chat, fim, memory)
        limit_time(0)
        limit_memory(None)
        output.write(packed(answer))
        output.flush()


@lru_cache(_MODELS)
def _builders(source: PromptSource) -> tuple[PromptBuilder, FimPrompts]:
    vocabulary = GGUFVocabulary(source.weights)
    return build_prompts(source.name, source.weights, vocabulary, context=source.context, tokenizer=source.tokenizer)


def _build(request: PromptRequest, chat: PromptBuilder, fim: FimPrompts, memory: int) -> Prompt | Exception:
    try:
        return request.build(chat, fim)
    except InvalidRequestError as error:
        return error
    except MemoryError:
        return InvalidRequestError(
            f"The prompt takes more than {memory // 2**20} MB of memory to build: send shorter or fewer messages"
        )
    except Exception as error:
        return RuntimeError(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
