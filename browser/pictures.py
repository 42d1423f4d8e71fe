"""The pictures of the README: a server with the bundled model, which has trained and answered.

``make pictures`` takes them anew, in about three minutes. The words of the answers depend on the processor.
"""

import json
import random
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from ponant import Mistral
from tests.serving import RunningServer, serving

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
_SECONDS = 120
_QUESTION = "Name one lighthouse in Brittany and say why it is known, in one sentence."
_PLACES = ("Brest", "Quimper", "Vannes", "Lorient", "Morlaix", "Roscoff", "Concarneau", "Douarnenez")


def main() -> None:
    """Take the pictures."""
    FOLDER.mkdir(exist_ok=True)
    program = shutil.which("chromium")
    with serving() as server, sync_playwright() as playwright:
        _work(server)
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = browser.new_context(
            base_url=server.url, viewport={"width": 1280, "height": 800}, color_scheme="light"
        )
        context.set_default_timeout(_SECONDS * 1000)
        page = context.new_page()
        _take_status(page)
        _take_playground(page)
        _take_reference(page)
        browser.close()


def _work(server: RunningServer) -> None:
    """Train a small model, and send requests of several kinds."""
    with Mistral(api_key="none", server_url=server.url) as client:
        lines = [json.dumps({"messages": messages}) for messages in map(_lesson, range(64))]
        uploads = [
            client.files.upload(file={"file_name": name, "content": "\n".join(part).encode()})
            for name, part in (("captain.jsonl", lines[:48]), ("captain-validation.jsonl", lines[48:]))
        ]
        job = client.fine_tuning.jobs.create(
            model="smollm2",
            training_files=[{"file_id": uploads[0].id}],
            validation_files=[uploads[1].id],
            suffix="captain",
            hyperparameters={"training_steps": 40, "learning_rate": 0.001, "seq_len": 128},
            auto_start=True,
        )
        client.fine_tuning.jobs.wait(job.id)
        for question in ("What is the capital of Japan?", _QUESTION):
            client.chat.complete(model="smollm2", messages=[{"role": "user", "content": question}], max_tokens=40, n=2)
            for _ in client.chat.stream(
                model="smollm2", messages=[{"role": "user", "content": question}], max_tokens=40
            ):
                pass
        client.embeddings.create(model="mistral-embed", inputs=["a lighthouse", "a harbour"])


def _lesson(number: int) -> list[dict[str, str]]:
    place = random.Random(number).choice(_PLACES)
    hour = number % 12 + 1
    return [
        {"role": "user", "content": f"When does the ferry leave {place} today, at {hour} or later?"},
        {"role": "assistant", "content": f"Aye! The ferry leaves {place} at {hour} o'clock sharp."},
    ]


def _take_status(page: Page) -> None:
    page.goto("/")
    page.get_by_text("embeddings").first.wait_for()
    page.locator("canvas").first.wait_for()
    page.wait_for_timeout(2500)
    page.screenshot(path=FOLDER / "status.png")


def _take_playground(page: Page) -> None:
    page.goto("/playground")
    page.get_by_label("max_tokens").fill("45")
    page.get_by_label("random_seed").fill("7")
    page.get_by_label("n side by side").fill("3")
    page.get_by_label("Colour by probability").check()
    page.get_by_role("textbox", name="Message", exact=True).fill(_QUESTION)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop").wait_for()
    page.get_by_role("button", name="Stop").wait_for(state="detached")
    page.locator(".token").nth(8).hover()
    page.wait_for_timeout(500)
    page.screenshot(path=FOLDER / "playground.png")


def _take_reference(page: Page) -> None:
    page.goto("/docs")
    page.get_by_role("button", name="Try It!").first.wait_for()
    page.get_by_role("link", name="Create Chat Completions").first.click()
    page.wait_for_timeout(4000)
    page.screenshot(path=FOLDER / "reference.png")


if __name__ == "__main__":
    main()
