"""MLflow's own command `mlflow deployments`, for the target `laurel`, against a live Laurel."""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from pipeline.domain.promotion import Phase
from tests.acceptance.conftest import Registered, Start
from tests.architecture.commands import ROOT, commands
from tests.servers.laurel import SERVICE, Laurel
from tests.servers.waiting import until

pytestmark = pytest.mark.xdist_group("mlflow")
PAGE = ROOT / "docs/deployments.md"


@dataclass(frozen=True)
class Command:
    """`mlflow deployments`, of somebody who has a token of Laurel's."""

    laurel: Laurel
    folder: Path

    def __call__(self, *words: str) -> str:
        """Run a verb that must work, and return what it printed."""
        done = self.run(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "mlflow", "deployments", *words)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        token = (self.laurel.folder / "laurel.token").read_text().strip()
        where = {"LAUREL_SERVER": self.laurel.url, "LAUREL_TOKEN": token}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=os.environ | {"HOME": str(self.folder)} | where,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def test_the_distribution_names_the_target() -> None:
    found = {each.value for each in entry_points(group="mlflow.deployments", name="laurel")}
    assert found == {"pipeline.mlflow_deployments"}


def test_mlflow_s_own_command_creates_updates_and_shows_a_deployment(
    laurel: Start, model: Registered, tmp_path: Path
) -> None:
    model.add()
    model.add()
    here = laurel("up", sections={"mlflow": {"url": model.mlflow.url, "poll": "1h"}})
    until(here.answers, "the receiver", say=here.log)
    mlflow = Command(here, tmp_path)
    create, update, get, listing, usage = (
        [word.replace("fraud-scorer", model.name) for word in shlex.split(command)[2:]]
        for command in commands(PAGE)
    )
    assert f"deployment {SERVICE} is created" in mlflow(*create)
    assert here.promotions()[0].phase is Phase.SUCCEEDED, here.story()
    with here.traffic() as seen:
        assert f"Deployment {SERVICE} is updated" in mlflow(*update)
    first, second = here.promotions()
    assert (first.model.version, second.model.version) == (1, 2)
    told = [event.data for event in here.ledger.events.of(second.id)]
    assert "the weekly release" in str(told)
    assert seen.keys() == {(200, "1"), (200, "2")}
    assert f"{second.image}" in mlflow(*get)
    assert f"'name': '{SERVICE}'" in mlflow(*listing)
    assert "models:/NAME@ALIAS" in mlflow(*usage)


def test_what_the_target_does_not_do_it_refuses_with_what_to_do(
    laurel: Start, model: Registered, tmp_path: Path
) -> None:
    model.add()
    model.add(broken=True)
    model.point(1)
    here = laurel("up", sections={"mlflow": {"url": model.mlflow.url, "poll": "1h"}})
    image = here.ended(1).image
    until(here.answers, "the receiver", say=here.log)
    version = f"models:/{model.name}/2"
    asked: list[tuple[str, dict[str, object], str]] = [
        ("get_deployment", {"name": SERVICE}, f"{image}"),
        ("create_deployment", {"name": SERVICE, "model_uri": version}, "already: update it"),
        ("update_deployment", {"name": SERVICE, "model_uri": version}, f"{SERVICE}: failed: "),
        ("update_deployment", {"name": SERVICE, "model_uri": "runs:/a/model"}, "models:/NAME/VE"),
        ("update_deployment", {"name": SERVICE}, "models:/NAME/VERSION"),
        ("update_deployment", {"name": SERVICE, "flavor": "sklearn"}, "leave the flavor out"),
        ("update_deployment", {"name": SERVICE, "config": {"cpu": "4"}}, "cpu is not known"),
        ("get_deployment", {"name": SERVICE, "endpoint": "e"}, "no endpoints"),
        ("get_deployment", {"name": "churn"}, "There is no service of that name"),
        ("delete_deployment", {"name": SERVICE}, f"take {SERVICE} out of laurel.yaml"),
        ("predict", {"deployment_name": SERVICE}, "/invocations"),
    ]
    said = answers(Command(here, tmp_path), [(verb, values) for verb, values, _ in asked])
    for (verb, values, why), answer in zip(asked, said, strict=True):
        assert why in answer, (verb, values, answer)


ASK = """
import json, sys
from mlflow.deployments import get_deploy_client, run_local
client = get_deploy_client(sys.argv[1])
for verb, values in json.loads(sys.argv[2]):
    try:
        print(json.dumps(str(getattr(client, verb)(**values))))
    except Exception as error:
        print(json.dumps(f"{type(error).__name__}: {error}"))
try:
    run_local("laurel", "fraud", "models:/m/1")
except Exception as error:
    assert "laurel demo" in str(error), error
"""


def answers(command: Command, questions: list[tuple[str, dict[str, object]]]) -> list[str]:
    """Ask MLflow's own client, in a program of somebody's, one question after the other."""
    where = f"laurel:{command.laurel.url}"
    done = command.python("-c", ASK, where, json.dumps(questions))
    assert done.returncode == 0, done.stderr
    said = [str(json.loads(line)) for line in done.stdout.splitlines()]
    assert not any(line.startswith(("TypeError", "KeyError", "AttributeError")) for line in said)
    return said
