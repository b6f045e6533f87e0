"""A person's own path: `@champion` is moved by clicks in MLflow's real page, by a real browser.

Its two pictures are those of docs/: ``LAUREL_WRITE_DOCS=1`` writes them anew.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.domain.promotion import Phase, TriggerKind
from tests.acceptance.conftest import LIGHT, Registered, Start, laurels
from tests.servers.browser import Page, running_browser, why_no_browser
from tests.servers.laurel import ROOT, SERVICE
from tests.servers.mlflow import MlflowServer
from tests.servers.waiting import until

pytestmark = pytest.mark.xdist_group("mlflow")
PICTURES = ROOT / "docs" / "images"
MODEL = "fraud-detector"  # no other test's: its name is in the pictures
SIDEBAR, WIDTH, HEIGHT = 198, 1000, 660
OF_VERSION_2 = '[role=row]:has(a[href$="/versions/2"])'


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """Lend the page of a browser, or say why this machine has none."""
    if why := why_no_browser():
        pytest.skip(f"this machine can have no browser: {why}")
    with running_browser(tmp_path) as page:
        page.size(SIDEBAR + WIDTH, HEIGHT)
        yield page


@pytest.fixture
def model(mlflow_server: MlflowServer, tmp_path: Path) -> Registered:
    """Lend the model of the pictures, with two versions."""
    mlflow_server.create_model(MODEL)
    model = Registered(mlflow_server, tmp_path / "models", MODEL)
    model.add()
    model.add()
    return model


@pytest.fixture
def laurel(model: Registered, cache: Path, tmp_path: Path) -> Iterator[Start]:
    with laurels(model, cache, tmp_path) as start:
        yield start


def keep(name: str, picture: bytes) -> None:
    """Write a picture of docs/ where that was asked; it has to be there, and small."""
    file = PICTURES / name
    if os.environ.get("LAUREL_WRITE_DOCS"):
        file.write_bytes(picture)
    assert file.stat().st_size < 100_000


def test_champion_moves_by_clicks_and_the_version_s_page_tells_what_became_of_it(
    laurel: Start, model: Registered, page: Page
) -> None:
    mlflow = model.mlflow.url
    model.point(1)
    here = laurel("up", sections={"mlflow": {"url": mlflow, "poll": "1h"}})
    assert here.ended(1).phase is Phase.SUCCEEDED, here.story()
    made = subprocess.run(
        [
            *(sys.executable, *LIGHT, "never", "webhook", "install"),
            *("--config", str(here.folder / "laurel.yaml")),
        ],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    page.open(f"{mlflow}/#/models/{MODEL}")
    page.click('button[data-component-id="mlflow.assistant.chat_panel.close"]')
    page.click(f'{OF_VERSION_2} button[data-component-id*="aliasescell"]')
    page.sees("Add/Edit alias for model version 2")
    page.fill("[role=dialog] input", "champion")
    page.sees('The "champion" alias is also being used on version 1')
    asked = page.picture(SIDEBAR, WIDTH, HEIGHT)
    with here.traffic() as seen:
        page.click("button", "Save aliases")
        promoted = here.ended(2)
        until(lambda: model.tags(2).get(f"laurel.{SERVICE}.serving") == "true", "the tags")
    assert (promoted.phase, promoted.model.version) == (Phase.SUCCEEDED, 2), here.story()
    assert promoted.trigger.kind is TriggerKind.WEBHOOK
    assert {status for status, _ in seen} == {200}, seen
    state = here.state()
    assert state.stable is not None
    image = state.stable.image
    assert (image, here.ask()) == (promoted.image, (200, "2"))

    page.open(f"{mlflow}/#/models/{MODEL}/versions/2")
    page.sees(f"laurel.{SERVICE}.phase", "succeeded", f"laurel.{SERVICE}.serving", "true")
    page.sees(f"laurel.{SERVICE}.image", image.digest.hex)
    keep("mlflow-save-aliases.png", asked)
    keep("mlflow-outcome.png", page.picture(SIDEBAR, WIDTH, HEIGHT))
