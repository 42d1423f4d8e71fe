"""Places where prompts are built."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ponant.completion.prompting.factory import PromptFactory
from ponant.prompts.chat.prompt import Prompt, PromptBuilder
from ponant.prompts.fim.prompts import FimPrompts
from tests.completion.completions import completion


@dataclass
class NotedRequest:
    """Request for a prompt that notes the threads in which it is built."""

    quick: bool = True
    size: int = 100
    work: Callable[[], None] = lambda: None
    threads: list[threading.Thread] = field(default_factory=list)

    def build(self, chat: PromptBuilder, fim: FimPrompts) -> Prompt:
        self.threads.append(threading.current_thread())
        self.work()
        return Prompt([1])

    def exceeds(self, size: int) -> bool:
        return self.size > size

    def is_quick(self, chat: PromptBuilder) -> bool:
        return self.quick


def burn() -> None:
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass


def test_only_short_prompts_of_quick_templates_are_built_on_the_event_loop(tiny_model: Path) -> None:
    async def run() -> list[bool]:
        made, _ = await completion(tiny_model)
        model = made._loaded
        factory = PromptFactory()
        first, short, long, slow_template = NotedRequest(), NotedRequest(), NotedRequest(size=9000), NotedRequest(False)
        slow, after = NotedRequest(work=burn), NotedRequest()
        requests = [first, short, long, slow_template, slow, after]
        for request in requests:
            await factory.build(request, model)
        await factory.close()
        return [request.threads == [threading.current_thread()] for request in requests]

    assert asyncio.run(run()) == [False, True, False, False, True, False]
