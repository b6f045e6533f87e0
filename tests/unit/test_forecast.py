"""`laurel plan`: what a promotion would do is told, and nothing is done."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import wiring
from pipeline.domain.admission import Frozen
from pipeline.domain.evidence import Lock, Refused, StoredFile
from pipeline.domain.plan import OnReturn
from pipeline.domain.references import Digest
from pipeline.domain.serving import Hold
from pipeline.forecast import World
from pipeline.settings.load import load_settings
from tests.fakes.clock import START
from tests.unit.cli.conftest import laurel
from tests.unit.promotion_scene import MODEL, SERVICE, Files, Scene, scene

YAML = f"services: [{{name: {SERVICE}, model: {MODEL}, repository: ml/fraud}}]\n"


class Versions(Files):
    """Every version's own folder, a copy of the recorded model until a test changes it."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root
        self._recorded = self.folder

    def of(self, version: int) -> Path:
        folder = self._root / str(version)
        if not folder.exists():
            shutil.copytree(self._recorded, folder)
        return folder

    def files(self, artifact_uri: str) -> tuple[StoredFile, ...] | Refused:
        self.folder = self.of(int(artifact_uri.strip("/")))
        return super().files(artifact_uri)

    def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
        self.folder = self.of(int(artifact_uri.strip("/")))
        return super().read(artifact_uri, file)

    def declare(self, version: int, **parts: list[dict[str, Any]]) -> None:
        """Give a version this signature."""
        file = self.of(version) / "MLmodel"
        said = yaml.safe_load(file.read_text())
        said["signature"] = {part: json.dumps(fields) for part, fields in parts.items()}
        file.write_text(yaml.safe_dump(said))

    def require(self, version: int, *lines: str) -> None:
        """Give a version these requirements."""
        (self.of(version) / "requirements.txt").write_text("\n".join(lines))


class Winter:
    """A freeze of the one service that is named so (``ports.Freezes``)."""

    def frozen(self, service: str, at: datetime) -> Frozen | None:
        return Frozen(at + timedelta(hours=1), "holidays") if service == "winter" else None


@dataclass
class Prompt:
    """A person at the prompt, before a scene of fakes."""

    scene: Scene
    files: Versions
    locks: dict[Digest, Lock]

    def plan(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        before = self.state()
        result = laurel("plan", *arguments, "--json")
        assert result.exit_code == code, result.stderr
        assert self.state() == before, "a plan changes nothing"
        (item,) = json.loads(result.stdout)["items"]
        return dict(item)

    def state(self) -> tuple[Any, ...]:
        """Read what a promotion would have changed."""
        tags = self.scene.images.tags("ml/fraud")
        return (
            {tag: self.scene.images.manifest("ml/fraud", tag) for tag in tags},
            repr(self.scene.target.services),
            self.scene.promotions,
            self.scene.runner.runs,
            repr(self.scene.models.versions),
        )


@pytest.fixture
def prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prompt]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "laurel.yaml").write_text(YAML)
    with scene(tmp_path) as made:
        files, locks = Versions(tmp_path / "models"), dict[Digest, Lock]()
        made.files = files
        world = World(
            models=made.models,
            artifacts=files,
            resolver=made.resolver,
            images=made.images,
            target=made.target,
            known_lock=locks.get,
            clock=made.clock,
            freezes=Winter(),
        )
        monkeypatch.setattr(wiring, "build_world", lambda _settings: world)
        yield Prompt(made, files, locks)


def column(rows: list[dict[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in rows]


def test_a_first_deploy_is_foreseen(prompt: Prompt) -> None:
    prompt.scene.models.point(MODEL, "champion", 1)
    found = prompt.plan(f"{MODEL}@champion")
    assert found["model"] == {"name": MODEL, "version": 1, "run_id": "run-1"}
    assert (found["serves"], found["image"], found["refused"]) == ("nothing", None, False)
    assert set(column(found["rules"], "verdict")) == {"pass"}
    assert column(found["parts"], "name") == ["base", "environment", "model"]
    assert column(found["parts"], "moves") == [True, True, True]
    size = sum(path.stat().st_size for path in prompt.files.of(1).rglob("*") if path.is_file())
    assert found["parts"][2]["size"] == size
    assert found["lock"]["runtime"] == "mlserver"
    assert "as soon as it is ready" in found["traffic"][0]


def test_a_retrained_version_moves_its_model_alone(prompt: Prompt) -> None:
    prompt.scene.promote(1)
    found = prompt.plan(f"{MODEL}/2")
    assert {part["name"]: part["moves"] for part in found["parts"]} == {
        "base": False,
        "environment": False,
        "model": True,
    }
    assert found["serves"].startswith(f"{MODEL}/1 (")
    assert found["lock"]["against"] == "the lock that serves, which is the same"
    assert found["signature"] == {"against": f"{MODEL}/1", "changes": []}
    assert [step.partition(" ")[0] for step in found["traffic"]] == ["10", "25", "50", "100"]


def test_packages_are_compared_with_the_lock_that_serves(prompt: Prompt) -> None:
    prompt.files.require(1, "mlflow==3.17.2", "numpy==2.0", "gone==1")
    prompt.files.require(2, "mlflow==3.17.2", "numpy==2.1", "new==1")
    prompt.scene.promote(1)
    by_requirements = prompt.plan(f"{MODEL}/2")["lock"]
    assert by_requirements["against"] == "the requirements of the model that serves"
    expected = ["- gone 1", "+ new 1", "  numpy 2.0 -> 2.1"]
    assert by_requirements["packages"] == expected
    digest = prompt.scene.promotions[0].lock_digest
    assert digest is not None
    text = "mlflow==3.17.2\nnumpy==2.0\ngone==1\nsmall==3 ; python_version > '3'\n"
    prompt.locks[digest] = Lock(text, digest, "mlserver", "3.11")
    by_lock = prompt.plan(f"{MODEL}/2")["lock"]
    assert by_lock["against"] == "the lock that serves"
    assert set(expected) | {"- small 3"} <= set(by_lock["packages"])


def test_where_the_serving_version_is_gone_packages_are_compared_with_nothing(
    prompt: Prompt,
) -> None:
    prompt.scene.promote(1)
    prompt.files.require(2, "mlflow==3.17.2", "new==1")
    del prompt.scene.models.versions[next(iter(prompt.scene.models.versions))]
    found = prompt.plan(f"{MODEL}/2")
    assert (found["lock"]["against"], found["lock"]["packages"]) == ("", [])
    assert found["signature"] == {"against": "", "changes": []}


AMOUNT = {"name": "amount", "type": "double", "required": True}


def test_a_signature_that_breaks_callers_is_refused_and_shown(prompt: Prompt) -> None:
    prompt.files.declare(1, inputs=[AMOUNT])
    prompt.files.declare(2, inputs=[AMOUNT, {"name": "age", "type": "long", "required": True}])
    prompt.scene.promote(1)
    found = prompt.plan(f"{MODEL}/2", code=1)
    change = {"what": "input age is newly required", "breaking": True}
    assert found["signature"] == {"against": f"{MODEL}/1", "changes": [change]}
    (refused,) = (rule for rule in found["rules"] if rule["verdict"] == "fail")
    assert "compatible_signature: false" in refused["why"]
    shown = laurel("plan", f"{MODEL}/2")
    assert (shown.exit_code, "refused" in shown.stdout) == (1, True)
    assert f"SIGNATURE, AGAINST {MODEL.upper()}/1" in shown.stdout
    assert "input age is newly required" in shown.stdout


def test_an_image_that_was_made_before_is_named_with_its_layers(prompt: Prompt) -> None:
    prompt.scene.promote(1)
    prompt.scene.promote(2)
    found = prompt.plan(f"{MODEL}/1")
    assert found["image"] == str(prompt.scene.promotions[0].image)
    assert not any(column(found["parts"], "moves"))
    assert all(column(found["parts"], "size"))
    assert prompt.plan(f"{MODEL}/1", "--rebuild")["image"] is None


def test_an_image_elsewhere_is_copied_and_its_layers_move(prompt: Prompt) -> None:
    prompt.scene.promote(1)
    one = f"{{name: prod, model: {MODEL}, repository: prod/fraud, copy_from: ml/fraud}}"
    Path("laurel.yaml").write_text(f"services: [{one}]\n")
    found = prompt.plan(f"{MODEL}/1", "--service", "prod")
    assert found["image"] == str(prompt.scene.promotions[0].image)
    assert all(column(found["parts"], "moves"))


def test_rules_that_are_not_met_are_told_and_the_rest_all_the_same(prompt: Prompt) -> None:
    one = f"{{name: {SERVICE}, model: {MODEL}, require: {{tags: {{validated: 'yes'}}}}}}"
    Path("laurel.yaml").write_text(f"services: [{one}]\n")
    found = prompt.plan(f"{MODEL}/1", code=1)
    assert found["refused"]
    (refused,) = (rule for rule in found["rules"] if rule["verdict"] == "fail")
    assert (refused["rule"], "tag validated is not set" in refused["why"]) == ("check", True)
    assert found["lock"] is not None
    prompt.scene.models.register(MODEL, 1, validated="yes")
    assert "tag validated" in column(prompt.plan(f"{MODEL}/1")["rules"], "rule")


def test_a_clash_of_packages_is_told(prompt: Prompt) -> None:
    prompt.scene.resolver.refusal = Refused("a clashes with b")
    found = prompt.plan(f"{MODEL}/1", code=1)
    assert "a clashes with b" in found["rules"][-1]["why"]
    assert column(found["parts"], "name") == ["model"]


def test_a_version_without_a_model_in_it_is_told(prompt: Prompt) -> None:
    (prompt.files.of(1) / "MLmodel").unlink()
    found = prompt.plan(f"{MODEL}/1", code=1)
    assert "has no MLmodel file" in found["rules"][-1]["why"]
    assert found["parts"] == []


def test_an_alias_that_names_nothing_ends_the_plan(prompt: Prompt) -> None:
    found = prompt.plan(f"{MODEL}@champion", code=1)
    assert (found["model"], "names no version" in found["rules"][0]["why"]) == (None, True)
    assert laurel("plan", "nobody@champion").exit_code == 1


def test_what_a_promotion_would_wait_for_is_told(prompt: Prompt) -> None:
    prompt.scene.promote(1)
    hold = Hold("ada", "the black week", START)
    prompt.scene.target.hold(SERVICE, hold)
    (waits,) = prompt.plan(f"{MODEL}/2")["waits"]
    assert waits.startswith(f"ada holds {SERVICE}: the black week; another version")
    assert "WAITS FOR" in laurel("plan", f"{MODEL}/2").stdout


@pytest.mark.parametrize(("approvals", "people"), [(1, "one person"), (2, "2 people")])
def test_approvals_and_freezes_are_told(prompt: Prompt, approvals: int, people: str) -> None:
    one = f"{{name: winter, model: {MODEL}, require: {{approvals: {approvals}}}}}"
    Path("laurel.yaml").write_text(f"services: [{one}]\n")
    agreed, frozen = prompt.plan(f"{MODEL}/1")["waits"]
    assert agreed == f"{people} must agree to its image before it gets traffic"
    assert "is frozen until" in frozen
    assert "holidays" in frozen


def test_an_image_of_no_known_version_is_served_still(prompt: Prompt) -> None:
    prompt.scene.promote(1)
    service = prompt.scene.target.services[SERVICE]
    assert service.stable is not None
    stable = service.revisions[service.stable]
    service.revisions[service.stable] = replace(stable, model_version=None)
    prompt.files.require(2, "mlflow==3.17.2", "new==1")
    one = f"{{name: {SERVICE}, model: {MODEL}, repository: ml/fraud, on_return: canary}}"
    Path("laurel.yaml").write_text(f"services: [{one}]\n")
    found = prompt.plan(f"{MODEL}/2")
    assert found["serves"].startswith("an image of no known version (")
    assert found["lock"]["packages"] == []
    assert found["traffic"][-1] == "100 %"
    plans = load_settings(Path("laurel.yaml"), {}).plans()
    assert plans[SERVICE].on_return is OnReturn.CANARY


def test_a_serving_image_that_is_gone_or_damaged_is_compared_with_nothing(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt.scene.promote(1)
    for content in (None, b"{}"):

        def manifest(_: str, reference: str, said: bytes | None = content) -> bytes | None:
            return said if reference.startswith("sha256:") else None

        monkeypatch.setattr(prompt.scene.images, "manifest", manifest)
        found = prompt.plan(f"{MODEL}/2")
        assert column(found["parts"], "moves") == [True, True, True]
        assert found["lock"]["against"] == ""
