"""The table of seeded faults matches the code: each replaced text and each named test exists."""

from pathlib import Path

import pytest

from faults.seeded import FAULTS, Fault

ROOT = Path(__file__).parents[1]


def test_names_are_unique() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_text_occurs_once_and_is_replaced(fault: Fault) -> None:
    assert (ROOT / fault.file).read_text().count(fault.text) == 1
    assert fault.replacement != fault.text


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_tests_of_a_fault_exist(fault: Fault) -> None:
    assert fault.tests
    for test in fault.tests:
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(), test
