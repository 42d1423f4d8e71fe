"""Reports of the worker: their rate and their content."""

from ponant.engine.llama.reporter import INTERVAL, Reporter
from ponant.engine.llama.scheduler import Scheduler
from ponant.engine.report import StepReport
from tests.engine.llama.scheduling import completion, run, scheduler


def count_step(made: Scheduler, reporter: Reporter) -> None:
    step, deltas = run(made)
    reporter.count(step.timed(0.5), [(1, delta) for delta in deltas])


def test_report_comes_once_in_an_interval_and_only_if_something_has_changed() -> None:
    made = scheduler()
    reporter = Reporter(made)
    assert reporter.pause(100) is None
    assert reporter.take(100) is None
    made.add([completion(1, 5)])
    assert reporter.take(100) == StepReport(waiting=1)
    count_step(made, reporter)
    assert reporter.take(100 + INTERVAL / 4) is None
    assert reporter.pause(100 + INTERVAL / 4) == INTERVAL * 3 / 4
    assert reporter.pause(100 + 2 * INTERVAL) == 0
    assert reporter.take(100 + INTERVAL) == StepReport(
        running=1, cells_used=5, steps=1, step_seconds=0.5, computed_tokens=5, drawn_tokens=1
    )
    assert reporter.take(100 + 3 * INTERVAL) is None
    assert reporter.pause(100 + 3 * INTERVAL) is None


def test_cells_and_cached_tokens_are_counted_once_where_sequences_share_them() -> None:
    made = scheduler(shares=True)
    reporter = Reporter(made)
    prompt = list(range(100, 300))
    made.add([completion(1, [*prompt, 1], max_tokens=1), completion(2, [*prompt, 2]), completion(3, [*prompt, 3])])
    for _ in range(3):
        count_step(made, reporter)
    report = reporter.take(100)
    assert report
    assert (report.cells_used, report.cells_kept, report.tokens_stored) == (200 + 2 + 2, 0, 201)
    assert (report.cached_tokens, report.computed_tokens, report.drawn_tokens) == (400, 201 + 4, 5)
    made.cancel(2)
    made.cancel(3)
    report = reporter.take(200)
    assert report
    assert (report.cells_used, report.cells_kept) == (0, 204)
