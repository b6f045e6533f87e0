"""`laurel build` for real: a signed image without server and traffic, and a promotion finds it."""

import json
import subprocess
import sys

import pytest

from pipeline import wiring
from pipeline.domain.promotion import Phase
from tests.acceptance.conftest import LIGHT, Registered, Start
from tests.servers.laurel import ROOT, Laurel

pytestmark = pytest.mark.xdist_group("promotions")


def typed(laurel: Laurel, *verb: str) -> subprocess.CompletedProcess[str]:
    """Type a command beside laurel.yaml, with the light resolver."""
    config = str(laurel.folder / "laurel.yaml")
    command = [sys.executable, *LIGHT, "never", *verb, "--config", config]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_was_built_at_the_prompt_is_promoted_as_it_is(
    laurel: Start, model: Registered
) -> None:
    here = laurel(None)
    model.add()
    built = typed(here, "build", f"{model.name}/1")
    assert built.returncode == 0, built.stderr
    (digest,) = built.stdout.splitlines()
    assert "smoke" in built.stderr
    assert not here.promotions()
    again = typed(here, "build", f"{model.name}/1", "--json")
    made = json.loads(again.stdout)
    assert made["digest"] == digest
    assert "build:" not in again.stderr
    assert typed(here, "verify", made["image"]).returncode == 0
    inspected = json.loads(typed(here, "inspect", made["image"], "--json").stdout)
    assert inspected["model"] == model.name
    assert len(inspected["referrers"]) == 2

    model.point(1)
    here.start()
    assert here.ended(1).phase is Phase.SUCCEEDED, here.story()
    assert str(here.promotions()[0].image) == made["image"]
    started = here.ledger.events.of(here.promotions()[0].id, kind="step_started")
    steps = {event.data["name"] for event in started}
    assert not {"lock", "build", "smoke", "sign"} & steps
    assert here.ask()[0] == 200
    kept = json.loads(typed(here, "gc", "--apply", "--json").stdout)
    assert [item["why"] for item in kept["items"]] == ["fraud serves it"]
    assert wiring.build_target(here.settings).observe("fraud").stable is not None
