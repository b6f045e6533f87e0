"""Images in a real registry that wants a login, as docker's own config.json holds it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.domain.promotion import Kind, Phase
from tests.acceptance.conftest import Registered, Start, docker_login
from tests.servers.laurel import ROOT, SERVICE
from tests.servers.registries import Registry
from tests.servers.unmeasured import unmeasured
from tests.servers.waiting import until

pytestmark = pytest.mark.xdist_group("promotions")


@pytest.fixture
def repository(
    htpasswd_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """Have every Laurel keep its images there; lend where the registry stores a model's."""
    monkeypatch.setenv("LAUREL_REGISTRY", f"{htpasswd_registry.host}/ml")
    for name, value in docker_login(htpasswd_registry, tmp_path).items():
        monkeypatch.setenv(name, value)
    stored = htpasswd_registry.folder / "data/docker/registry/v2/repositories/ml"
    return lambda model: stored / model


def test_a_canary_and_a_rollback_serve_what_was_pushed_and_it_verifies(
    repository: Callable[[str], Path], laurel: Start, model: Registered
) -> None:
    up = laurel("up")
    until(up.answers, "the receiver answers", say=up.log)
    model.add()
    model.point(1)
    assert up.ended(1).phase is Phase.SUCCEEDED, up.story()
    model.add()
    with up.traffic() as seen:
        model.point(2)
        assert up.ended(2).phase is Phase.SUCCEEDED, up.story()
        assert up.ask() == (200, "2")
        assert up.call("POST", f"/services/{SERVICE}/rollback", {"reason": "no"})[0] == 202
        back = up.ended(3)
    first, second, _ = up.promotions()
    assert (back.kind, back.phase, back.image) == (Kind.ROLLBACK, Phase.SUCCEEDED, first.image)
    assert up.ask() == (200, "1")
    assert {status for status, _ in seen} == {200}
    assert repository(model.name).is_dir()
    for image in (first.image, second.image):
        command = [sys.executable, "-m", "pipeline", "verify", str(image)]
        config = ["--config", str(up.folder / "laurel.yaml")]
        verified = subprocess.run(
            [*command, *config], cwd=ROOT, env=unmeasured(), capture_output=True, check=False
        )
        assert verified.returncode == 0, verified.stderr
