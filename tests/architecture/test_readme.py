"""What README.md and docs/ name is there: verbs, files, calls, variables; and none is left out."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from fastapi.routing import APIRoute

from pipeline.cli import main
from pipeline.cli.init import _MLFLOW_ENVIRONMENT
from pipeline.settings.load import load_settings
from tests.architecture.commands import PAGES, ROOT, commands, shown
from webhook_service.app import PARTS

TEXT = "\n".join(page.read_text() for page in PAGES)
_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")


def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:tests|pipeline|docs|webhook_service)/[\w./-]+)`", TEXT))
    assert "tests/acceptance/test_demo.py" in named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_every_promise_names_tests() -> None:
    table = (ROOT / "README.md").read_text().partition("| shown by |")[2].partition("\n\n")[0]
    promises = table.splitlines()[2:]
    assert len(promises) >= 7
    assert [line for line in promises if not re.search(r"`tests/[\w/]+\.py` ", line)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_the_repository_resolve(page: Path) -> None:
    links = [link for link in _LINK.findall(page.read_text()) if "://" not in link[0]]
    for path, anchor in links:
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in _anchors(target), f"{path}#{anchor}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def _verbs(group: click.Command, above: str = "laurel") -> set[str]:
    if not isinstance(group, click.Group):
        return {above}
    return set().union(*(_verbs(verb, f"{above} {name}") for name, verb in group.commands.items()))


def test_every_verb_that_is_named_exists() -> None:
    typed = "\n".join(command for page in PAGES for command in commands(page))
    words = re.findall(r"`laurel ([a-z]+)(?: ([a-z]+)\b)?", TEXT)
    words += re.findall(r"^laurel ([a-z]+)(?: ([a-z]+)\b)?", typed, re.MULTILINE)
    verbs = _verbs(main)
    unknown = {f"laurel {verb} {word}" for verb, word in words if f"laurel {verb}" not in verbs}
    assert {named.strip() for named in unknown} <= verbs


def test_no_verb_is_left_out() -> None:
    assert {verb for verb in _verbs(main) if not re.search(rf"{verb}\b", TEXT)} == set()


def test_the_steps_are_shown_as_laurel_steps_prints_them() -> None:
    printed = CliRunner().invoke(main, ["steps"])
    assert shown(ROOT / "docs/promotion.md", "laurel steps") == printed.stdout


def test_every_http_call_is_listed_and_no_other() -> None:
    listed = re.findall(r"`(GET|POST|PUT|DELETE) (/[\w/{}]*)`", (ROOT / "docs/http.md").read_text())
    routes = [
        (method, route.path)
        for module in PARTS
        for route in module.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    ]
    assert sorted(set(listed)) == sorted(routes)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_shown_loads(page: Path, tmp_path: Path) -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        (tmp_path / "laurel.yaml").write_text(block)
        assert load_settings(tmp_path / "laurel.yaml", {}).model_fields_set


def test_the_variables_that_mlflow_needs_are_those_that_init_prints() -> None:
    listed = re.findall(r"^\| `(MLFLOW_\w+)`", (ROOT / "docs/mlflow.md").read_text(), re.MULTILINE)
    assert listed == list(_MLFLOW_ENVIRONMENT)
