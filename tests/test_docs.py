"""Settings, flags and dialect tables match their documentation."""

from pathlib import Path

import click
import pytest

from ponant.cli.serve import serve
from ponant.model_settings import ModelSettings
from ponant.server.dialects import mistral, nim, openai, openai_jobs, openai_messages
from ponant.server.dialects.detection import DIALECTS
from ponant.server.dialects.table import Rule
from ponant.settings import Settings

ROOT = Path(__file__).parents[1]
SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text()
ROWS = {
    cells[0].strip(" `"): cells[1:]
    for line in SETTINGS_PAGE.splitlines()
    if len(cells := line.strip("|").split(" | ")) == 5
}
MODEL_ROWS = {
    cells[0].strip(" `"): cells[-1].strip()
    for line in SETTINGS_PAGE.splitlines()
    if len(cells := line.strip("|").split(" | ")) == 3 and "environment" not in line
}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_settings_page_describes_every_setting(name: str) -> None:
    assert name in ROWS, f"docs/settings.md does not have the setting {name}"
    environment, _, _, description = ROWS[name]
    assert environment == f"`PONANT_{name.upper()}`"
    assert description.strip() == Settings.model_fields[name].description


def test_settings_page_has_no_other_settings() -> None:
    assert set(ROWS) - {"setting"} == set(Settings.model_fields)


def test_settings_page_describes_the_settings_of_models() -> None:
    described = {name: field.description for name, field in ModelSettings.model_fields.items()}
    assert {name: MODEL_ROWS.get(name) for name in described} == described


@pytest.mark.parametrize("page", ["README.md", "docs/settings.md"])
def test_every_flag_of_serve_is_documented(page: str) -> None:
    flags = [option.opts[-1] for option in serve.params if isinstance(option, click.Option)]
    text = (ROOT / page).read_text()
    assert [flag for flag in flags if flag not in text] == []


DIALECTS_PAGE = (ROOT / "docs" / "dialects.md").read_text()
DIALECT_TABLES: dict[str, dict[str, Rule]] = {
    "OpenAI: chat completions": openai.CHAT_RULES,
    "OpenAI: messages": {
        f"{role}.{field}": rule
        for role, table in openai_messages.MESSAGES.items()
        for field, rule in table.rules.items()
    },
    "OpenAI: text completions": dict(openai.OPENAI.tables[openai.TEXT].rules),
    "OpenAI: embeddings": dict(openai.OPENAI.tables[openai.EMBEDDINGS].rules),
    "OpenAI: files and fine-tuning": openai_jobs.RULES,
    "NVIDIA NIM: chat completions": nim.RULES,
    "The Mistral API: strict": dict(mistral.STRICT.tables[openai.CHAT].rules),
}


def test_dialects_page_has_all_fields_of_all_dialects() -> None:
    listed = [(field, rule.says) for table in DIALECT_TABLES.values() for field, rule in table.items()]
    for dialect in DIALECTS.values():
        for table in dialect.tables.values():
            assert [field for field, rule in table.rules.items() if (field, rule.says) not in listed] == []


@pytest.mark.parametrize("heading", DIALECT_TABLES)
def test_dialects_page_has_the_tables_of_the_code(heading: str) -> None:
    section = DIALECTS_PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{field}` | {rule.says} |" for field, rule in DIALECT_TABLES[heading].items()]
