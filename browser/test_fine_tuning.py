"""The page `/fine-tuning`: datasets, the dry run, jobs and their curves."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect

from browser.conftest import KEY, OpenPage
from browser.guard import PageGuard
from browser.looks import accessibility_faults, overflow, screenshot
from tests import scripted_trainer
from tests.in_process import ScriptedServer, serving_scripted
from tests.jobs import JOBS, Job, create, dataset, get, upload, wait_for

TRAINER = 60_000
"""Time limit of what a trainer process does, in milliseconds."""
BAD = {"messages": [{"role": "user", "content": "hello"}]}
"""Line without an answer to learn."""


@pytest.fixture(scope="module")
def server(vocabulary: Path) -> Iterator[ScriptedServer]:
    """Server whose training is scripted, a step in 10 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", scripted_trainer.scripted_training_path())
        with serving_scripted(vocabulary, ("tiny",), engine={"context": 4096}) as server:
            yield server


@pytest.fixture(scope="module")
def finished(server: ScriptedServer) -> Job:
    """Job that has succeeded."""
    with server.client() as client:
        file_id = upload(client)
        return wait_for(client, create(client, file_id, steps=20, validation_files=[file_id], suffix="done")["id"])


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[httpx2.Client]:
    with server.client() as client:
        yield client


def choose_file(page: Page, button: str, name: str, content: bytes) -> None:
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name=button).click()
    chosen.value.set_files({"name": name, "mimeType": "application/jsonl", "buffer": content})
    expect(page.get_by_label(button.removeprefix("Upload ").capitalize(), exact=True)).not_to_have_value("")


def shown_points(page: Page) -> tuple[dict[int, float], dict[int, float]]:
    """Return the training and the validation losses in the table of points, by step."""
    lines = page.get_by_role("region", name="Points of the curves").get_by_role("row").all_inner_texts()
    cells = [line.split("\t") for line in lines[1:]]
    training, validation = (
        {int(line[0]): float(line[column]) for line in cells if line[column].strip()} for column in (1, 2)
    )
    return training, validation


def newest(client: httpx2.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get(JOBS).json()["data"][0]
    return found


def test_dry_run_gives_a_verdict_on_each_line(
    server: ScriptedServer, client: httpx2.Client, open_page: OpenPage
) -> None:
    before = client.get(JOBS).json()["total"]
    page = open_page(server, "/fine-tuning")
    good = dataset()
    lines = good.count(b"\n")
    choose_file(page, "Upload training data", "mixed.jsonl", good + b"\n" + dataset([BAD, {"messages": []}]))
    page.get_by_role("button", name="Check the files").click()
    verdict = page.locator(".verdict")
    expect(verdict.locator(".notice")).to_contain_text(f"2 of {lines + 2} lines", timeout=TRAINER)
    table = page.get_by_role("region", name="Lines of mixed.jsonl").get_by_role("row")
    expect(table).to_have_count(3)
    expect(table.nth(1)).to_contain_text(re.compile(rf"^{lines + 2}\s*✗ "))
    expect(table.nth(1)).to_contain_text('{"role": "user", "content": "hello"}')
    page.get_by_label("Only invalid lines").uncheck()
    expect(table).to_have_count(lines + 3)
    for line in range(1, lines + 1):
        expect(table.nth(line)).to_contain_text(re.compile(rf"^{line}\s*✓ valid"))
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Invalid lines allowed").fill("10")
    page.get_by_role("button", name="Check the files").click()
    expect(verdict.locator(".notice")).to_contain_text("2 invalid lines are skipped", timeout=TRAINER)
    expect(verdict.locator(".facts").first).to_contain_text("Steps")
    assert client.get(JOBS).json()["total"] == before


def test_job_is_created_followed_and_tried(server: ScriptedServer, client: httpx2.Client, open_page: OpenPage) -> None:
    page = open_page(server, "/fine-tuning")
    choose_file(page, "Upload training data", "train.jsonl", dataset())
    choose_file(page, "Upload validation data", "valid.jsonl", dataset())
    page.get_by_label("Name").fill("captain")
    page.get_by_label("Steps").fill("60")
    page.get_by_label("Learning rate").fill("0.002")
    page.get_by_label("Sequence length").fill("128")
    page.get_by_role("button", name="Create job").click()
    expect(page.get_by_role("heading", name="captain")).to_be_visible()
    job = newest(client)
    assert (job["model"], job["suffix"], job["auto_start"]) == ("tiny", "captain", True)
    asked = {"training_steps": 60, "learning_rate": 0.002, "seq_len": 128}
    assert asked.items() <= job["hyperparameters"].items()
    assert page.url.endswith(f"#job={job['id']}")
    link = page.locator(".job-buttons").get_by_role("link", name="Try beside its base")
    done = wait_for(client, job["id"])
    expect(link).to_have_attribute("href", re.compile(r"^/playground#model=ft%3Atiny%3Acaptain%3A.*&beside=tiny$"))
    page.get_by_text("Points as a table").click()
    expect(page.get_by_role("region", name="Points of the curves").get_by_role("row")).to_have_count(61)
    training, validation = shown_points(page)
    checkpoints = done["checkpoints"]
    assert validation == {point["step_number"]: point["metrics"]["valid_loss"] for point in checkpoints}
    (progress,) = [event["data"] for event in done["events"] if event["name"] == "progress"]
    assert training[60] == progress["loss"]
    assert training == {step: 1 / step for step in range(1, 61)}


def test_curve_follows_a_running_job_which_is_cancelled(
    server: ScriptedServer, client: httpx2.Client, open_page: OpenPage, request: pytest.FixtureRequest
) -> None:
    job = create(client, upload(client), steps=100_000, suffix="endless")
    page = open_page(server, f"/fine-tuning#job={job['id']}")
    request.addfinalizer(lambda: client.post(f"{JOBS}/{job['id']}/cancel"))  # others wait for its end
    page.get_by_text("Points as a table").click(timeout=TRAINER)
    points = page.get_by_role("region", name="Points of the curves").get_by_role("row")
    expect(points.nth(5)).to_be_visible(timeout=TRAINER)
    before = points.count()
    expect(points.nth(before + 5)).to_be_visible()
    cancel = page.locator(".job-buttons").get_by_role("button")
    cancel.focus()
    page.keyboard.press("Enter")
    expect(cancel).to_have_text("Really cancel")
    page.keyboard.press("Enter")
    expect(page.locator(".job-head")).to_contain_text("cancelled", timeout=TRAINER)
    expect(cancel).to_have_count(0)
    assert get(client, job["id"])["status"] == "CANCELLED"


def test_job_waits_for_its_start(server: ScriptedServer, client: httpx2.Client, open_page: OpenPage) -> None:
    file_id = upload(client)
    page = open_page(server, "/fine-tuning")
    page.get_by_label("Training data", exact=True).select_option(file_id)
    page.get_by_label("Name").fill("waits")
    page.get_by_label("Steps").fill("5")
    page.get_by_label("Start when the files are checked").uncheck()
    page.get_by_role("button", name="Create job").click()
    expect(page.locator(".job-head")).to_contain_text("waits")
    expect(page.locator(".job-head")).to_contain_text("validated", timeout=TRAINER)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".job-head")).to_contain_text("success", timeout=TRAINER)
    assert get(client, newest(client)["id"])["status"] == "SUCCESS"


def test_refusals_are_shown(
    server: ScriptedServer, client: httpx2.Client, open_page: OpenPage, guard: PageGuard
) -> None:
    guard.expect("status of 400")
    file_id = upload(client, dataset([BAD]))
    page = open_page(server, "/fine-tuning")
    page.get_by_role("button", name="Create job").click()
    assert page.evaluate("document.activeElement.id") == "training", "the browser asks for a file"
    page.get_by_label("Training data", exact=True).select_option(file_id)
    client.delete(f"/v1/files/{file_id}")
    page.get_by_role("button", name="Create job").click()
    expect(page.get_by_role("alert")).to_contain_text("There is no file")
    job = create(client, upload(client, dataset([BAD])), suffix="bad")
    page.goto(f"/fine-tuning#job={job['id']}")
    expect(page.locator(".job-head")).to_contain_text("failed validation", timeout=TRAINER)
    expect(page.locator(".notice.bad .reason")).to_contain_text("line 1:")


def test_older_jobs_are_chosen_from_the_list(
    server: ScriptedServer, client: httpx2.Client, open_page: OpenPage
) -> None:
    first, _ = (create(client, upload(client), suffix=name, auto_start=False) for name in ("older", "newer"))
    page = open_page(server, "/fine-tuning")
    expect(page.locator(".job-head")).to_contain_text("newer")
    page.get_by_role("link", name="older").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".job-head")).to_contain_text("older")
    assert page.url.endswith(f"#job={first['id']}")


def test_nothing_is_shown_before_a_key(keyed: ScriptedServer, open_page: OpenPage, guard: PageGuard) -> None:
    page = open_page(keyed, "/fine-tuning")
    expect(page.get_by_text("Enter one to train models")).to_be_visible()
    expect(page.get_by_role("button", name="Create job")).to_have_count(0)
    assert not [request.url for request in guard.requests if "/v1/" in request.url]
    page.get_by_role("button", name="Enter key").click()
    page.get_by_label("One of the server's keys").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Create job")).to_be_visible()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_full_page_is_accessible_and_fits(
    server: ScriptedServer, client: httpx2.Client, finished: Job, open_page: OpenPage, dark: bool, width: int
) -> None:
    mixed = upload(client, dataset([BAD, *json_lines(dataset())]), "mixed.jsonl")
    page = open_page(server, f"/fine-tuning#job={finished['id']}", dark=dark, width=width)
    page.get_by_label("Training data", exact=True).select_option(mixed)
    page.get_by_text("More", exact=True).click()
    page.get_by_role("button", name="Check the files").click()
    expect(page.get_by_role("region", name="Lines of mixed.jsonl")).to_contain_text("assistant", timeout=TRAINER)
    expect(page.locator(".u-legend")).to_be_visible()
    screenshot(page, f"fine-tuning-full-{width}-{'dark' if dark else 'light'}")
    assert accessibility_faults(page) == []
    assert overflow(page) == 0


def json_lines(content: bytes) -> list[Any]:
    return [json.loads(line) for line in content.splitlines()]


def test_result_opens_beside_its_base(server: ScriptedServer, finished: Job, open_page: OpenPage) -> None:
    page = open_page(server, f"/fine-tuning#job={finished['id']}")
    page.locator(".job-buttons").get_by_role("link", name="Try beside its base").click()
    page.wait_for_url("**/playground")
    expect(page.get_by_role("combobox", name="Model", exact=True)).to_have_value(finished["fine_tuned_model"])
    expect(page.get_by_role("combobox", name="Beside it")).to_have_value("tiny")


@pytest.mark.parametrize("job", ["..", "../../models", "%00", "<b>"])
def test_address_names_no_other_path(scripted: ScriptedServer, open_page: OpenPage, guard: PageGuard, job: str) -> None:
    guard.expect("status of 404")
    page = open_page(scripted, f"/fine-tuning#job={job}")
    expect(page.get_by_role("heading", name="Fine-tuning", exact=True)).to_be_visible()
    page.wait_for_load_state("networkidle")
    asked = [request.url.removeprefix(scripted.url) for request in guard.requests]
    assert "/v1/models" not in asked
    assert all(path.count("/") <= 4 for path in asked if "/jobs/" in path and path.startswith("/v1"))
