"""`laurel doctor` finds each misconfiguration that is planted, and its fix then works.

MLflow, the registries, the receiver and the key are real; each test plants one thing.
"""

import json
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from click.testing import CliRunner

from pipeline import wiring
from pipeline.cli import main
from pipeline.settings.load import load_settings
from pipeline.trust.key_file import create_key_file
from tests.acceptance.conftest import docker_login
from tests.servers.answering import answering
from tests.servers.laurel import install
from tests.servers.mlflow import MlflowServer
from tests.servers.patient import Patient
from tests.servers.ports import free_ports
from tests.servers.registries import Registry, running_ociserver, running_plain

pytestmark = pytest.mark.xdist_group("mlflow")


def installed(folder: Path, mlflow: MlflowServer, **sections: object) -> Patient:
    """Install a Laurel that watches a model of its own, whose alias is set."""
    model = f"doctored-{uuid4().hex[:8]}"
    mlflow.create_model(model)
    mlflow.register(model)
    mlflow.set_alias(model, "champion", 1)
    install(folder, mlflow.url, folder / "cache", sections=sections, model=model)
    return Patient(folder, mlflow, model)


@contextmanager
def admitted(folder: Path, mlflow: MlflowServer, **sections: object) -> Iterator[Patient]:
    """Lend a Laurel that is well: its receiver runs, and a webhook leads there."""
    patient = installed(folder, mlflow, **sections)
    with answering(folder):
        patient.type("webhook", "install")
        yield patient
        patient.type("webhook", "remove")


@pytest.fixture
def patient(mlflow_server: MlflowServer, ociserver: Registry, tmp_path: Path) -> Iterator[Patient]:
    """Lend a Laurel that is well, its images in a registry."""
    registry = f"{ociserver.host}/ml"
    with admitted(tmp_path / "laurel", mlflow_server, registry=registry) as patient:
        yield patient


def test_who_is_well_is_told_so_with_exit_code_0(patient: Patient) -> None:
    patient.well()
    result = CliRunner().invoke(main, ["doctor", "--config", str(patient.config), "--json"])
    assert (result.exit_code, json.loads(result.stdout)["healthy"]) == (0, True)
    levels = {item["level"] for item in json.loads(result.stdout)["items"]}
    assert levels == {"ok"}
    shown = CliRunner().invoke(main, ["doctor", "--config", str(patient.config), "--all"])
    assert "MLflow's test call arrived and was believed" in shown.stdout
    quiet = CliRunner().invoke(main, ["doctor", "--config", str(patient.config)])
    assert (quiet.stdout, "0 bad" in quiet.stderr) == ("", True)


def test_an_mlflow_that_does_not_answer_is_found(patient: Patient) -> None:
    patient.set("mlflow", url=f"http://127.0.0.1:{free_ports(1)[0]}")
    patient.told("could not read its version", "start it or mend mlflow.url")
    result = CliRunner().invoke(main, ["doctor", "--config", str(patient.config)])
    assert (result.exit_code, "fix" in result.stdout) == (1, True)
    patient.set("mlflow", url=patient.mlflow.url)
    patient.well()


def test_a_webhook_that_is_not_there_is_found_and_its_probe_is_gone(patient: Patient) -> None:
    patient.type("webhook", "remove")
    patient.told("found by polling", "laurel webhook install")
    listed = patient.mlflow.call("GET", "mlflow/webhooks").get("webhooks", [])
    assert [each for each in listed if each["url"] == patient.url] == []
    patient.type("webhook", "install")
    patient.well()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"secret": "another secret"}, "has another secret than Laurel"),
        ({"status": "DISABLED"}, "is disabled"),
        (
            {"events": [{"entity": "REGISTERED_MODEL", "action": "CREATED"}]},
            "tells of registered_model.created",
        ),
    ],
)
def test_a_webhook_that_is_not_right_is_found(
    patient: Patient, change: dict[str, Any], what: str
) -> None:
    path = f"mlflow/webhooks/{patient.webhook()['webhook_id']}"
    patient.mlflow.call("PATCH", path, change)
    patient.told(what, "laurel webhook install")
    patient.type("webhook", "install")
    patient.well()


def test_a_second_webhook_is_found(patient: Patient) -> None:
    events = [{"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}]
    again = {"name": "again", "url": patient.url, "events": events}
    patient.mlflow.call("POST", "mlflow/webhooks", again)
    patient.told("2 webhooks lead here", "laurel webhook install")
    patient.type("webhook", "install")
    patient.well()


def test_a_receiver_that_does_not_run_is_found(mlflow_server: MlflowServer, tmp_path: Path) -> None:
    patient = installed(tmp_path / "laurel", mlflow_server)
    with answering(patient.folder):
        patient.type("webhook", "install")
    patient.told("test call did not arrive", "start `laurel up`")
    with answering(patient.folder):
        patient.well()
    patient.type("webhook", "remove")


def test_an_address_where_somebody_else_answers_is_found(patient: Patient) -> None:
    patient.set("webhook", url=f"{patient.mlflow.url}/webhooks/mlflow")
    patient.told("is not Laurel's receiver", "mend webhook.url")
    patient.set("webhook", url=None)
    patient.well()


def test_an_alias_in_other_capitals_is_found(patient: Patient) -> None:
    patient.set("services", alias="Champion")
    patient.told("has @champion, and fraud watches @Champion", "write alias: champion")
    patient.set("services", alias="champion")
    patient.well()


def test_an_alias_that_nobody_set_is_found(patient: Patient) -> None:
    patient.set("services", alias="production")
    patient.told("has the alias production", "set it in MLflow")
    patient.mlflow.set_alias(patient.model, "production", 1)
    patient.well()


def test_files_that_are_gone_are_found(patient: Patient) -> None:
    path = f"mlflow/model-versions/get-download-uri?name={patient.model}&version=1"
    uri = patient.mlflow.call("GET", path)["artifact_uri"]
    files = patient.mlflow.folder / "artifacts" / uri.removeprefix("mlflow-artifacts:/")
    shutil.rmtree(files)
    patient.told("it has no MLmodel file", "log it again")
    patient.mlflow.register(patient.model)
    patient.mlflow.set_alias(patient.model, "champion", 2)
    patient.well()


def test_a_registry_that_does_not_answer_is_found(patient: Patient, ociserver: Registry) -> None:
    said = yaml.safe_load(patient.config.read_text())
    patient.config.write_text(
        yaml.safe_dump(said | {"registry": f"127.0.0.1:{free_ports(1)[0]}/ml"})
    )
    patient.told("cannot push", "look at the registry")
    patient.config.write_text(yaml.safe_dump(said | {"registry": f"{ociserver.host}/ml"}))
    patient.well()


def test_a_registry_that_wants_a_login_is_found(
    mlflow_server: MlflowServer,
    htpasswd_registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    registry = f"{htpasswd_registry.host}/ml"
    with admitted(tmp_path / "laurel", mlflow_server, registry=registry) as patient:
        patient.told("cannot push", "docker login")
        docker_login(htpasswd_registry, tmp_path)
        patient.well()


def test_a_registry_that_removes_nothing_is_found(
    mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    with running_plain(tmp_path, deletes=False) as registry:
        location = f"{registry.host}/ml"
        with admitted(tmp_path / "laurel", mlflow_server, registry=location) as patient:
            patient.told("removes none", "storage.delete.enabled: true")
            said = yaml.safe_load(patient.config.read_text())
            (tmp_path / "other").mkdir()
            with running_plain(tmp_path / "other") as mended:
                changed = said | {"registry": f"{mended.host}/ml"}
                patient.config.write_text(yaml.safe_dump(changed))
                patient.well()


def test_tags_that_cannot_be_moved_are_found(
    mlflow_server: MlflowServer, ociserver: Registry, tmp_path: Path
) -> None:
    with running_ociserver(tmp_path, immutable=True) as registry:
        location = f"{registry.host}/ml"
        with admitted(tmp_path / "laurel", mlflow_server, registry=location) as patient:
            patient.told("cannot be moved", "immutable tags off")
            said = yaml.safe_load(patient.config.read_text())
            changed = said | {"registry": f"{ociserver.host}/ml"}
            patient.config.write_text(yaml.safe_dump(changed))
            patient.well()


def test_layers_that_must_be_sent_again_are_found(
    patient: Patient, plain_registry: Registry, ociserver: Registry
) -> None:
    patient.set("services", copy_from=f"{plain_registry.host}/staging/fraud")
    patient.told("takes no layers over", "on the same registry")
    patient.set("services", copy_from=f"{ociserver.host}/staging/fraud")
    patient.well()


def test_what_a_probe_put_into_a_registry_is_gone(patient: Patient, ociserver: Registry) -> None:
    patient.well()
    images = wiring.open_images(load_settings(patient.config, {}))
    assert images.tags(f"{ociserver.host}/ml/{patient.model}") == ()


def plant_no_key(folder: Path) -> None:
    (folder / "laurel.key").rename(folder / "elsewhere.key")


def plant_wrong_password(folder: Path) -> None:
    (folder / "laurel.key.password").write_text("not this one")


def plant_open_key(folder: Path) -> None:
    (folder / "laurel.key").chmod(0o644)


def plant_open_secret(folder: Path) -> None:
    (folder / "webhook.secret").chmod(0o640)


def plant_other_public_key(folder: Path) -> None:
    create_key_file(folder / "other.key", "a password")
    (folder / "other.pub").replace(folder / "laurel.pub")


def plant_open_ledger(folder: Path) -> None:
    (folder / "laurel.db").chmod(0o644)


@pytest.mark.parametrize(
    ("plant", "what", "fix", "mend"),
    [
        (
            plant_no_key,
            "No such file",
            "make one with `laurel keys create`",
            lambda folder: (folder / "elsewhere.key").rename(folder / "laurel.key"),
        ),
        (
            plant_wrong_password,
            "the password does not open it",
            "check signing.password_file",
            lambda folder: (folder / "laurel.key.password").write_text("password of a test's key"),
        ),
        (
            plant_open_key,
            "others of this machine may use",
            "chmod 600",
            lambda folder: (folder / "laurel.key").chmod(0o600),
        ),
        (
            plant_open_secret,
            "webhook.secret (0640)",
            "chmod 600",
            lambda folder: (folder / "webhook.secret").chmod(0o600),
        ),
        (
            plant_other_public_key,
            "is another key's",
            "and the private key's own half counts",
            lambda folder: (folder / "laurel.pub").rename(folder / "laurel.pub.other"),
        ),
        (
            plant_open_ledger,
            "laurel.db (0644)",
            "chmod 600",
            lambda folder: (folder / "laurel.db").chmod(0o600),
        ),
    ],
)
def test_files_that_are_not_as_they_should_be_are_found(
    patient: Patient,
    plant: Callable[[Path], None],
    what: str,
    fix: str,
    mend: Callable[[Path], object],
) -> None:
    patient.well()
    plant(patient.folder)
    patient.told(what, fix)
    mend(patient.folder)
    patient.well()


def test_a_clock_that_is_wrong_is_found_with_each_neighbour(patient: Patient) -> None:
    minutes = timedelta(minutes=11)
    patient.told("MLflow's clock is 6", "timedatectl", ahead=minutes)
    found = patient.amiss(ahead=minutes)
    assert {each.level for each in found} == {"bad"}
    assert len(found) == 2
    assert {each.level for each in patient.amiss(ahead=timedelta(minutes=-2))} == {"warn"}
    patient.well()


def test_a_port_that_somebody_else_has_is_found(patient: Patient) -> None:
    port = load_settings(patient.config, {}).serving.port
    with socket.create_server(("127.0.0.1", port)):
        patient.told("is somebody else's", "another serving.port")
    patient.well()


def test_a_secret_that_only_a_cluster_has_is_found(patient: Patient) -> None:
    patient.set("services", env=[{"name": "API_KEY", "secretRef": {"name": "s", "key": "k"}}])
    patient.told("API_KEY", "")
    patient.set("services", env=[])
    patient.well()


def test_a_ledger_of_another_schema_is_found(patient: Patient) -> None:
    with closing(sqlite3.connect(patient.folder / "laurel.db")) as database:
        (revision,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
        database.execute("UPDATE alembic_version SET version_num = '0001'")
        database.commit()
        patient.told("has not the schema", "laurel migrate")
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        database.commit()
    patient.well()
