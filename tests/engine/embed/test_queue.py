"""Order of texts in the embedding queue, and the batches that it forms."""

import numpy as np

from ponant.engine.embed.model import PreparedText, Window
from ponant.engine.embed.queue import EmbeddingQueue, Job

Taken = list[tuple[int, int]]


def queue_of(*requests: list[int]) -> EmbeddingQueue[str]:
    """Return a queue of requests, numbered from 1, whose texts have these numbers of tokens."""
    queue: EmbeddingQueue[str] = EmbeddingQueue()
    for number, lengths in enumerate(requests, 1):
        queue.add(Job(number, [str(length) for length in lengths], 4))
    while job := queue.next_to_prepare():
        text = job.texts[len(job.prepared)]
        assert isinstance(text, str)
        job.prepare(PreparedText((Window(text, int(text)),), int(text)))
    return queue


def steps_of(queue: EmbeddingQueue[str], *, most_tokens: int = 100, most_texts: int = 10) -> list[Taken]:
    """Return the texts of each step as pairs of request number and index, until the queue is empty."""
    steps: list[Taken] = []
    while step := queue.next_step(most_tokens=most_tokens, most_texts=most_texts):
        steps.append([(job.id, index) for job, index in step])
    assert queue.idle
    return steps


def test_texts_of_requests_that_wait_share_a_step() -> None:
    assert steps_of(queue_of([10], [10], [10, 10])) == [[(1, 0), (2, 0), (3, 0), (3, 1)]]


def test_small_request_passes_by_a_big_one() -> None:
    steps = steps_of(queue_of([50] * 20, [50, 50]))
    assert [step for step in steps[:2] if (2, 0) in step or (2, 1) in step] == steps[:2]
    assert steps[2:] == [[(1, index), (1, index + 1)] for index in range(2, 20, 2)]


def test_step_has_no_more_than_it_may() -> None:
    assert [len(step) for step in steps_of(queue_of([30] * 7))] == [3, 3, 1]
    assert [len(step) for step in steps_of(queue_of([1] * 25))] == [10, 10, 5]


def test_text_longer_than_a_step_is_computed_alone() -> None:
    assert steps_of(queue_of([10, 300, 10])) == [[(1, 0)], [(1, 1)], [(1, 2)]]


def test_dropped_request_leaves_at_once() -> None:
    queue = queue_of([60, 60], [60, 60])
    assert [(job.id, index) for job, index in queue.next_step(most_tokens=100, most_texts=10)] == [(1, 0)]
    queue.drop(1)
    assert steps_of(queue) == [[(2, 0)], [(2, 1)]]


def test_requests_are_prepared_in_turns() -> None:
    queue: EmbeddingQueue[str] = EmbeddingQueue()
    for number, texts in enumerate((3, 1, 2), 1):
        queue.add(Job(number, ["a"] * texts, 4))
    order: list[int] = []
    while job := queue.next_to_prepare():
        order.append(job.id)
        job.prepare(PreparedText((Window("a", 1),), 1))
    assert order == [1, 2, 3, 1, 3, 1]


def test_vector_of_a_long_text_is_the_mean_of_its_windows() -> None:
    job: Job[str] = Job(1, ["short", "long"], 2)
    job.prepare(PreparedText((Window("short", 5),), 5))
    job.prepare(PreparedText((Window("a", 30), Window("b", 10)), 38))
    for index, vector in enumerate(([0.6, 0.8], [1.0, 0.0], [0.0, 1.0])):
        assert job.take() == index
        job.put(index, np.array(vector, dtype=np.float32))
    assert (job.is_taken, job.is_done) == (True, True)
    assert np.allclose(job.vectors(), [[0.6, 0.8], [3 / np.sqrt(10), 1 / np.sqrt(10)]])
