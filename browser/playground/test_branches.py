"""Branches of a conversation, and conversations of the browser: edited, regenerated, kept, exported and imported."""

import json
import re
from pathlib import Path

from playwright.sync_api import expect

from browser.playground.conftest import OpenBench
from tests.in_process import ScriptedServer


def test_edited_message_begins_a_branch(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    scripted.engine.play("first")
    scripted.engine.play("second")
    bench = open_bench(scripted)
    bench.send("One")
    turn = bench.page.get_by_role("region", name="You")
    bench.button("Edit", within=turn).click()
    bench.page.get_by_label("Message", exact=True).first.fill("Another")
    bench.button("Send as a branch").click()
    bench.wait()
    assert bench.sent()[-1]["messages"] == [{"role": "user", "content": "Another"}]
    assert bench.texts() == ["second"]
    expect(turn.get_by_label("Branch 2 of 2")).to_be_visible()
    bench.button("Branch before", within=turn).click()
    assert bench.texts() == ["first"]
    expect(turn.locator(".said")).to_have_text("One")


def test_regenerated_answer_is_a_branch(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    scripted.engine.play("first")
    scripted.engine.play("second")
    bench = open_bench(scripted)
    bench.send("One")
    bench.button("Regenerate").click()
    bench.wait()
    assert bench.texts() == ["second"]
    bench.button("Branch before").click()
    assert bench.texts() == ["first"]
    assert bench.sent()[0] == bench.sent()[1]


def test_edited_answer_continues_after_its_text(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    scripted.engine.play("The sea is green.")
    scripted.engine.play(" blue.")
    bench = open_bench(scripted)
    bench.send("One")
    bench.button("Edit", within=bench.cards).click()
    bench.page.get_by_label("Answer", exact=True).fill("The sea is")
    bench.button("Save and continue").click()
    bench.wait()
    assert bench.sent()[-1]["messages"][-1] == {"role": "assistant", "content": "The sea is", "prefix": True}
    assert bench.texts() == ["The sea is blue."]


def test_edited_answer_is_kept_as_a_branch(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    scripted.engine.play("The sea is green.")
    bench = open_bench(scripted)
    bench.send("One")
    bench.button("Edit", within=bench.cards).click()
    bench.page.get_by_label("Answer", exact=True).fill("It is blue.")
    bench.button("Save as a branch").click()
    assert bench.texts() == ["It is blue."]
    bench.send("Two")
    assert [message["content"] for message in bench.sent()[-1]["messages"]] == ["One", "It is blue.", "Two"]


def test_branch_begins_after_any_turn(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    bench.send("One")
    bench.send("Two")
    bench.button("Branch", within=bench.cards.first).click()
    expect(bench.cards).to_have_count(1)
    expect(bench.button("Show the turn that follows")).to_be_visible()
    bench.send("Three")
    assert [message["content"] for message in bench.sent()[-1]["messages"]] == ["One", "Hello world", "Three"]
    expect(bench.page.get_by_label("Branch 2 of 2")).to_be_visible()


def test_cut_answer_continues(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    bench.set("max_tokens", "3")
    bench.send("One")
    (begun,) = bench.texts()
    bench.button("Continue").click()
    bench.wait()
    assert bench.sent()[-1]["messages"][-1] == {"role": "assistant", "content": begun, "prefix": True}


def test_deleted_turn_takes_what_follows_along(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    bench.send("One")
    bench.send("Two")
    bench.button("Delete", within=bench.page.get_by_role("region", name="You").nth(1)).click()
    expect(bench.cards).to_have_count(1)
    bench.send("Three")
    assert [message["content"] for message in bench.sent()[-1]["messages"]] == ["One", "Hello world", "Three"]


def test_conversations_outlive_the_page(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    bench.set("random_seed", "5")
    bench.send("One lighthouse")
    bench.page.wait_for_timeout(600)  # until it is saved
    bench.page.reload()
    expect(bench.cards).to_have_text(re.compile("Hello world"))
    expect(bench.page.get_by_label("random_seed")).to_have_value("5")
    bench.new("Chat")
    expect(bench.cards).to_have_count(0)
    bench.page.locator("aside.sidebar").get_by_role("button", name="One lighthouse", exact=True).click()
    expect(bench.cards).to_have_text(re.compile("Hello world"))


def test_conversation_is_renamed_and_deleted(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    bench.send("One")
    bench.button("Rename One").click()
    bench.page.get_by_label("Title").fill("Lighthouses")
    bench.page.keyboard.press("Enter")
    bench.page.on("dialog", lambda dialog: dialog.accept())
    bench.button("Delete Lighthouses").click()
    expect(bench.page.locator(".conversations li")).to_have_count(0)
    expect(bench.cards).to_have_count(0)


def test_export_is_imported_in_another_browser(scripted: ScriptedServer, open_bench: OpenBench, tmp_path: Path) -> None:
    bench = open_bench(scripted)
    bench.colour()
    bench.send("One")
    bench.button("Regenerate").click()
    bench.wait()
    with bench.page.expect_download() as download:
        bench.button("Export all").click()
    path = tmp_path / "conversations.json"
    download.value.save_as(path)
    assert json.loads(path.read_text())["format"] == "ponant-playground"
    other = open_bench(scripted)
    other.page.get_by_label("File to import").set_input_files(path)
    expect(other.page.get_by_text("1 conversation imported.")).to_be_visible()
    assert other.texts() == bench.texts()
    expect(other.page.get_by_label("Branch 2 of 2")).to_be_visible()
    other.send("Two")
    assert [message["content"] for message in other.sent()[-1]["messages"]] == ["One", "Hello world", "Two"]


def test_foreign_files_are_refused(scripted: ScriptedServer, open_bench: OpenBench, tmp_path: Path) -> None:
    bench = open_bench(scripted)
    damaged = {"id": "x", "kind": "chat", "turns": {"a": {"role": "user"}}, "children": ["b"]}
    looped = {"kind": "chat", "turns": {"a": {"role": "user", "children": ["a"]}}, "children": ["a"]}
    cases = {
        "{": "The file is not JSON",
        "[]": "no conversations of this page",
        json.dumps({"format": "ponant-playground", "version": 9, "conversations": []}): "version 9",
        json.dumps({"format": "ponant-playground", "version": 1, "conversations": [damaged]}): "is damaged",
        json.dumps({"format": "ponant-playground", "version": 1, "conversations": [looped]}): "is damaged",
    }
    for text, message in cases.items():
        path = tmp_path / "file.json"
        path.write_text(text)
        bench.page.get_by_label("File to import").set_input_files(path)
        expect(bench.page.locator(".files [role=status]")).to_contain_text(message)
