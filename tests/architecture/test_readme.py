"""What README says exists, exists: tests, files, verbs."""

import re
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.promote import STEPS
from tests.architecture.readme import README, ROOT, RUN_ELSEWHERE, commands

_DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[\w./-]+)`", README))))
def test_a_test_that_readme_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("page", _DOCS, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


def test_every_verb_of_the_command_line_is_written_down() -> None:
    written = set(re.findall(r"`?laurel ([a-z]+)", " ".join(page.read_text() for page in _DOCS)))
    assert set(main.commands) <= written | {"help"}, set(main.commands) - written


def test_every_step_of_a_promotion_is_written_down() -> None:
    page = (ROOT / "docs/promotion.md").read_text()
    for name, purpose in STEPS:
        assert re.search(rf"^{name} +{re.escape(purpose)}$", page, re.MULTILINE), name


def test_every_command_of_readme_is_run_by_a_test() -> None:
    assert [each for each in commands() if not each.startswith("laurel ")] == list(RUN_ELSEWHERE)
