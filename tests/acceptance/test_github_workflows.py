"""The two workflows, really executed by `act`, against a live Laurel and a real MLflow."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from pipeline.domain.promotion import Kind, Phase, TriggerKind
from tests.acceptance.conftest import LIGHT, Registered, Start
from tests.servers.go_tools import ACT, ACTIONLINT, built
from tests.servers.laurel import ROOT, SERVICE, Laurel
from tests.servers.oidc_issuer import Issuer, running_issuer
from tests.servers.unmeasured import unmeasured
from tests.servers.waiting import until

pytestmark = pytest.mark.xdist_group("mlflow")
WORKFLOWS = ROOT / ".github" / "workflows"
ALLOW = {
    "roles": ["operator"],
    "claims": {"repository": "acme/models", "environment": "production"},
}


@dataclass
class Repository:
    """A team's repository with copies of the workflows, and a runner that is this machine."""

    folder: Path
    laurel: Laurel
    issuer: Issuer
    secrets: dict[str, str] = field(default_factory=dict)

    def run(self, workflow: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        """Start a workflow, as the button on GitHub's page does, and wait for its end."""
        said = {"service": SERVICE, "environment": "production"} | inputs
        home = self.folder.parent / "home"
        environment = unmeasured() | {
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "PATH": f"{self.folder.parent / 'bin'}:{os.environ['PATH']}",
        }
        return subprocess.run(
            [
                *(str(built(ACT)), "workflow_dispatch"),
                *("-W", f".github/workflows/{workflow}.yml", "-P", "ubuntu-24.04=-self-hosted"),
                *_each("--var", {"LAUREL_SERVER": self.laurel.url}),
                *_each("--env", self.issuer.job),
                *_each("--input", {name.replace("_", "-"): v for name, v in said.items()}),
                *(part for name in self.secrets for part in ("-s", name)),
            ],
            cwd=self.folder,
            env=environment | self.secrets,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


def _each(option: str, values: dict[str, str]) -> list[str]:
    return [part for name, value in values.items() for part in (option, f"{name}={value}")]


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture
def repository(laurel: Start, model: Registered, issuer: Issuer, tmp_path: Path) -> Repository:
    """Lend a repository whose Laurel serves version 1, and believes its workflows."""
    model.add()
    model.point(1)
    oidc = {"issuer": issuer.url, "audience": "127.0.0.1", "allow": [ALLOW]}
    here = laurel("up", sections={"auth": {"oidc": [oidc]}})
    assert here.ended(1).phase is Phase.SUCCEEDED, here.story()
    folder = tmp_path / "models"
    shutil.copytree(WORKFLOWS, folder / ".github" / "workflows")
    (tmp_path / "home").mkdir()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "laurel"
    line = " ".join([f"PYTHONPATH={ROOT}", "exec", sys.executable, *LIGHT, "never", '"$@"'])
    program.write_text(f"#!/bin/sh\n{line}\n")
    program.chmod(0o755)
    for command in (["init", "-q"], ["add", "."], [*_ADA, "commit", "-q", "-m", "models"]):
        subprocess.run(["git", *command], cwd=folder, check=True)  # noqa: S607 - the team's git
    return Repository(folder, here, issuer)


_ADA = ["-c", "user.name=ada", "-c", "user.email=ada@example.com"]


def summary_of(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


def test_the_workflows_are_as_actionlint_wants_them() -> None:
    files = sorted(map(str, WORKFLOWS.glob("*.yml")))
    done = subprocess.run(
        [str(built(ACTIONLINT)), "-shellcheck=", "-pyflakes=", "-no-color", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_a_version_is_promoted_and_rolled_back_by_workflows(
    repository: Repository, model: Registered
) -> None:
    here = repository.laurel
    model.add()
    asked = {"model": model.name, "version": "2", "reason": "the weekly | release"}
    dry = repository.run("promote", **asked, dry_run="true")
    assert dry.returncode == 0, summary_of(dry)
    assert len(here.promotions()) == 1
    with here.traffic() as seen:
        done = repository.run("promote", **asked)
    assert done.returncode == 0, summary_of(done) + here.story()
    _, promoted = here.promotions()
    assert (promoted.phase, promoted.model.version) == (Phase.SUCCEEDED, 2)
    assert promoted.trigger.kind is TriggerKind.GITHUB
    assert promoted.trigger.actor == "github:octocat (acme/models)"
    assert {status for status, _ in seen} == {200}
    stable = here.state().stable
    assert stable is not None
    assert stable.image == promoted.image
    assert f"### {SERVICE}: promotion succeeded" in summary_of(done)
    assert "| phase | succeeded |" in summary_of(done)

    back = repository.run("rollback", reason="complaints", move_alias="true")
    assert back.returncode == 0, summary_of(back) + here.story()
    first, _, rollback = here.promotions()
    assert (rollback.kind, rollback.image) == (Kind.ROLLBACK, first.image)
    assert rollback.plan.move_alias
    assert f"### {SERVICE}: rollback succeeded" in summary_of(back)
    assert len(repository.issuer.minted) == len(set(repository.issuer.minted)) >= 3


def test_a_job_fails_where_the_promotion_does_and_where_the_caller_may_not(
    repository: Repository, model: Registered
) -> None:
    here = repository.laurel
    here.kill()
    here.change(canary={"steps": [50], "interval": "60s", "min_samples": 5, "look_every": "50ms"})
    here.start("up")
    until(here.answers, "the receiver", say=here.log)
    model.add(fails=True)
    with here.traffic():
        done = repository.run("promote", model=model.name, version="2")
    assert done.returncode != 0, summary_of(done) + here.story()
    assert here.promotions()[-1].phase is Phase.FAILED, here.story()
    assert f"### {SERVICE}: promotion failed" in summary_of(done)
    refused = repository.run("rollback", to="9")
    assert refused.returncode != 0
    assert "### refused" in summary_of(refused)
    repository.issuer.repository = "evil/models"
    foreign = repository.run("rollback")
    assert foreign.returncode != 0
    assert "No rule of auth.oidc fits this token" in summary_of(foreign)
    assert len(here.promotions()) == 2


def test_an_image_is_made_on_the_runner_and_promoted_by_its_digest(
    repository: Repository, model: Registered
) -> None:
    here = repository.laurel
    model.add()
    said = yaml.safe_load((here.folder / "laurel.yaml").read_text())
    said = {name: said[name] for name in ("mlflow", "worker", "services")}
    said["registry"] = f"oci-layout:{here.folder / 'images'}"
    (repository.folder / "laurel.yaml").write_text(yaml.safe_dump(said))
    repository.secrets = {
        "LAUREL_SIGNING_KEY": (here.folder / "laurel.key").read_text(),
        "LAUREL_SIGNING_PASSWORD": (here.folder / "laurel.key.password").read_text(),
    }
    asked = {"model": model.name, "version": "2", "build": "runner"}
    dry = repository.run("promote", **asked, dry_run="true")
    assert dry.returncode == 0, summary_of(dry)
    assert len(here.promotions()) == 1
    with here.traffic():
        done = repository.run("promote", **asked)
    assert done.returncode == 0, summary_of(done) + here.story()
    _, promoted = here.promotions()
    assert (promoted.phase, promoted.model.version) == (Phase.SUCCEEDED, 2)
    assert promoted.target == promoted.image
    started = here.ledger.events.of(promoted.id, kind="step_started")
    assert not {"build", "smoke", "sign"} & {event.data["name"] for event in started}
    until(lambda: model.tags(2).get(f"laurel.{SERVICE}.serving") == "true", "the tags")
    assert "BEGIN ENCRYPTED" not in summary_of(done)
