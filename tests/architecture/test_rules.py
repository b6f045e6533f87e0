"""Every rule of docs/rules.md names tests, and each of them is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_RULE = re.compile(r"^\| (\d+)\. ([^|]+) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)
_NAMED = re.compile(r"`(test_\w+)`")
_DEFINED = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)
RULES = [
    (int(n), name, tests) for n, name, tests in _RULE.findall((ROOT / "docs/rules.md").read_text())
]


def test_no_rule_is_left_out() -> None:
    assert [number for number, _, _ in RULES] == list(range(1, 19))


@pytest.mark.parametrize(("name", "tests"), [(name, tests) for _, name, tests in RULES])
def test_every_rule_is_held_by_tests_that_are_there(name: str, tests: str) -> None:
    files = (ROOT / "tests").rglob("test_*.py")
    defined = {test for file in files for test in _DEFINED.findall(file.read_text())}
    named = set(_NAMED.findall(tests))
    assert named, name
    assert named <= defined, named - defined


def test_every_test_that_the_page_names_is_there() -> None:
    files = (ROOT / "tests").rglob("test_*.py")
    defined = {test for file in files for test in _DEFINED.findall(file.read_text())}
    named = set(_NAMED.findall((ROOT / "docs/rules.md").read_text()))
    assert named <= defined, named - defined
