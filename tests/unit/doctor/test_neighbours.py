"""What each look makes of a neighbour that cannot be had in such a state for the asking."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.doctor import artifacts, clocks, keys, ledger, mlflow, registry, rights, serving
from pipeline.doctor import webhook as webhooks
from pipeline.doctor.finding import Finding
from pipeline.domain.content import Content
from pipeline.domain.evidence import Refused, StoredFile
from pipeline.domain.oci import Descriptor
from pipeline.domain.references import Alias, Digest, ModelVersion
from pipeline.domain.serving import Blob, RequestTotals
from pipeline.domain.webhook import EVENTS, Tried, Webhook
from pipeline.errors import (
    ConfigurationError,
    ForbiddenError,
    LaurelError,
    NotFoundError,
    RejectedError,
    UnavailableError,
)
from tests.fakes.image_registry import InMemoryRegistry
from tests.fakes.model_registry import FakeModelRegistry
from tests.fakes.serving_target import FakeServingTarget
from tests.unit.promotion_scene import MODEL, PLAN, SERVICE, Files, scene

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NO = ForbiddenError("ask", "MLflow", "it says no")
URL = "http://127.0.0.1:8080/webhooks/mlflow"


@dataclass
class Server:
    """An MLflow server as a test wants it (``ports.RegistryServer``)."""

    says: str | None = "3.17.2"
    tags: bool = True

    def version(self) -> str | None:
        return self.says

    def now(self) -> datetime | None:
        return None

    def may_tag(self, model: ModelVersion) -> bool:
        assert model.name == MODEL
        return self.tags


@pytest.fixture
def models() -> FakeModelRegistry:
    found = FakeModelRegistry()
    found.register(MODEL, 1)
    found.point(MODEL, "champion", 1)
    return found


@pytest.mark.parametrize(
    ("says", "level", "what"),
    [
        (None, "warn", "does not say its version"),
        ("2.19.0", "warn", "MLflow is 2.19.0"),
        ("3.1.4", "warn", "has no webhooks"),
        ("3.3.0", "ok", "MLflow 3.3.0 answers"),
    ],
)
def test_the_version_of_mlflow_is_judged(
    models: FakeModelRegistry, says: str | None, level: str, what: str
) -> None:
    about, alias = mlflow.examine(Server(says), models, [PLAN])
    assert (about.level, what in about.what, alias.level) == (level, True, "ok")
    assert len(list(mlflow.examine(Server(says), models, []))) == 1


def test_an_account_without_rights_is_told_level_by_level(models: FakeModelRegistry) -> None:
    (fine,) = rights.examine(Server(), models, [PLAN, PLAN])
    (untagged,) = rights.examine(Server(tags=False), models, [PLAN])
    assert (fine.level, untagged.level, "EDIT" in untagged.fix) == ("ok", "warn", True)

    class Closed(FakeModelRegistry):
        def alias(self, alias: Alias) -> int | None:
            raise ForbiddenError("ask", str(alias), "it says no")

    (closed,) = rights.examine(Server(), Closed(), [PLAN])
    assert (closed.level, "READ" in closed.fix) == ("bad", True)
    assert len(list(mlflow.examine(Server(), Closed(), [PLAN]))) == 1


@pytest.mark.parametrize(
    ("fault", "what", "fix"),
    [
        (NO, "may not be read: it says no", "READ on the experiment"),
        (UnavailableError("list", "s3", "start it"), "cannot be read", "start it"),
    ],
)
def test_files_that_cannot_be_had_are_told(
    models: FakeModelRegistry, fault: Exception, what: str, fix: str
) -> None:
    files = Files()
    files.fault = fault
    (found,) = artifacts.examine(models, files, [PLAN])
    assert (found.level, what in found.what, fix in found.fix) == ("bad", True, True)


def test_files_that_can_be_had_are_counted(models: FakeModelRegistry) -> None:
    (found,) = artifacts.examine(models, Files(), [PLAN])
    assert (found.level, "7 files" in found.what) == ("ok", True)
    models.point(MODEL, "champion", None)
    assert list(artifacts.examine(models, Files(), [PLAN])) == []


def test_files_that_no_image_may_hold_are_told(models: FakeModelRegistry) -> None:
    class Odd(Files):
        def files(self, artifact_uri: str) -> tuple[StoredFile, ...] | Refused:
            return Refused(f"{artifact_uri} holds a link")

    (found,) = artifacts.examine(models, Odd(), [PLAN])
    assert (found.level, found.what) == ("bad", "/1 holds a link")


def test_clocks_are_compared() -> None:
    def away() -> datetime | None:
        raise UnavailableError("read", "MLflow", "start it")

    read = {
        "same": lambda: NOW + timedelta(seconds=59),
        "ahead": lambda: NOW + timedelta(minutes=2),
        "behind": lambda: NOW - timedelta(minutes=10),
        "mute": lambda: None,
        "away": away,
    }
    found = list(clocks.examine(read, lambda: NOW, timedelta(minutes=10)))
    assert [each.level for each in found] == ["ok", "warn", "bad", "ok"]
    assert "120 s ahead of this one" in found[1].what
    assert "600 s behind this one" in found[2].what


def test_a_ledger_is_looked_at_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "laurel.db"
    (absent,) = ledger.examine(path, lambda: True)
    assert (absent.level, "laurel migrate" in absent.fix) == ("warn", True)
    path.touch(0o600)
    (fine,) = ledger.examine(path, lambda: True)
    assert fine.level == "ok"
    monkeypatch.setattr(os, "access", lambda *_: False)
    told = [each.what for each in ledger.examine(path, lambda: True)]
    assert told[0] == f"{path} cannot be written"
    path.unlink()
    (closed,) = ledger.examine(path, lambda: True)
    assert (closed.level, closed.what) == ("bad", f"{tmp_path} cannot be written")


@pytest.mark.parametrize(("free", "level"), [(10**8, "bad"), (10**9, "warn"), (10**11, "ok")])
def test_room_is_told_once_for_each_filesystem(tmp_path: Path, free: int, level: str) -> None:
    folders = {"ledger": tmp_path, "cache": tmp_path / "not" / "there"}
    (found,) = ledger.examine_room(folders, lambda _: free)
    assert (found.check, found.level) == ("room ledger", level)


def test_secrets_that_are_not_there_are_another_looks_business(tmp_path: Path) -> None:
    assert list(keys.examine_files({"server.token_file": tmp_path / "laurel.token"})) == []


def test_a_service_is_asked_what_its_target_objects_to(tmp_path: Path) -> None:
    target = FakeServingTarget()
    (free,) = serving.examine(lambda: target, [PLAN])
    assert (free.level, "nothing serves yet" in free.what) == ("ok", True)
    target.objections = "it is stopped: kubectl annotate it\n- a\n+ b"
    (stopped,) = serving.examine(lambda: target, [PLAN])
    assert (stopped.level, stopped.what) == ("bad", "it is stopped")
    assert stopped.fix == "kubectl annotate it"
    (other,) = serving.examine(FakeServingTarget, [replace(PLAN, platform="linux/s390x")])
    assert (other.level, "linux/s390x" in other.what) == ("bad", True)
    with scene(tmp_path) as made:
        made.promote(1)
        (serves,) = serving.examine(lambda: made.target, [PLAN])
        assert "serves " in serves.what
        made.target.services[SERVICE].drift = "somebody set 30 %"
        (drifted,) = serving.examine(lambda: made.target, [PLAN])
        assert (drifted.level, drifted.what) == ("warn", "somebody set 30 %")


@dataclass
class Counts:
    """Request counts that are there, or not (``ports.Metrics``)."""

    fault: LaurelError | None = None

    def read(self, service: str, revisions: Iterable[str]) -> dict[str, dict[str, RequestTotals]]:
        assert (service, tuple(revisions)) == (SERVICE, ())
        if self.fault is not None:
            raise self.fault
        return {}


@pytest.mark.parametrize(
    ("fault", "level"),
    [
        (UnavailableError("read", "Envoy", "start it"), "warn"),
        (ConfigurationError("no url"), "bad"),
        (None, "ok"),
    ],
)
def test_request_counts_that_cannot_be_read_are_told(fault: LaurelError | None, level: str) -> None:
    (found,) = serving.examine_counts(lambda: Counts(fault), [PLAN])
    assert found.level == level


def test_a_port_of_ours_is_fine() -> None:
    (found,) = serving.examine_port(1, lambda: True)
    assert (found.level, found.what) == ("ok", "Envoy answers at port 1")


@dataclass
class Hooks:
    """MLflow's webhooks as a test wants them (``ports.Webhooks``)."""

    listed: tuple[Webhook, ...] = ()
    tried: Tried = field(default_factory=lambda: Tried(200, '{"ignored":"test delivery"}'))
    fault: LaurelError | None = None
    refusal: str = ""
    failures: Iterator[bool] = field(default_factory=lambda: iter(()))
    left: list[str] = field(default_factory=list)

    def list(self) -> tuple[Webhook, ...]:
        if self.fault is not None:
            raise self.fault
        if next(self.failures, False):
            raise UnavailableError("list", "MLflow", "it answers 500")
        return self.listed

    def create(self, name: str, url: str, secret: str, *, active: bool = True) -> Webhook:
        assert (secret, active) == ("secret", False)
        if self.refusal:
            raise RejectedError("make", url, self.refusal)
        self.left.append(name)
        return Webhook("1", name, url, EVENTS, active=False)

    def change(self, webhook: Webhook, *, secret: str) -> Webhook:
        raise AssertionError((webhook, secret))

    def delete(self, webhook: Webhook) -> None:
        if next(self.failures, False):
            raise UnavailableError("remove", "MLflow", "it answers 500")
        self.left.remove(webhook.name)

    def test(self, webhook: Webhook) -> Tried:
        assert webhook.url == URL
        return self.tried


def seen(hooks: Hooks) -> list[Finding]:
    return list(webhooks.examine(lambda: hooks, URL, "secret"))


OURS = Webhook("1", "laurel", URL, EVENTS, active=True)


@pytest.mark.parametrize(
    ("fault", "level", "fix"),
    [
        (NotFoundError("list", "MLflow", "no webhooks"), "warn", "upgrade MLflow"),
        (NO, "warn", "it says no"),
        (UnavailableError("list", "MLflow", "500"), "bad", "ENCRYPTION_KEY"),
    ],
)
def test_webhooks_that_cannot_be_looked_at_are_told(
    fault: LaurelError, level: str, fix: str
) -> None:
    (found,) = seen(Hooks(fault=fault))
    assert (found.level, fix in found.fix) == (level, True)


@pytest.mark.parametrize(
    ("tried", "what", "fix"),
    [
        (Tried(None, why="SSRFProtectionError: is not a public IP"), "did not", "PRIVATE_IPS"),
        (Tried(None, why="CERTIFICATE_VERIFY_FAILED"), "did not arrive", "public authority"),
        (Tried(None, why="refused"), "did not arrive", "start `laurel up`"),
        (Tried(401, "compare the clocks of"), "refused for its age", "timedatectl"),
        (Tried(401, "the signature"), "another secret", "laurel webhook install"),
        (Tried(404, "not found"), "is not Laurel's receiver", "mend webhook.url"),
    ],
)
def test_what_became_of_mlflows_test_call_is_told(tried: Tried, what: str, fix: str) -> None:
    (found,) = seen(Hooks((OURS,), tried))
    assert (found.level, what in found.what, fix in found.fix) == ("bad", True, True)


def test_a_probe_is_removed_by_whichever_worker_can() -> None:
    hooks = Hooks(failures=iter([False, True, *[False] * 11, True, True, False]))
    (found,) = seen(hooks)
    assert (found.level, "1 of 12 times" in found.what) == ("bad", True)
    assert hooks.left == []


def test_workers_that_cannot_read_each_others_secrets_are_told() -> None:
    (found,) = seen(Hooks((OURS,), failures=iter([False, True, False, True])))
    assert "2 of 12 times" in found.what


def test_an_address_that_mlflow_refuses_for_no_known_reason_is_told() -> None:
    (found,) = seen(Hooks(refusal="MLflow says: no"))
    assert (found.level, "MLflow says: no" in found.what) == ("bad", True)


class Refusing(InMemoryRegistry):
    """A registry that refuses one call, or lists nothing."""

    def __init__(self, call: str) -> None:
        super().__init__()
        self._call = call
        self._pushed = 0

    def push_manifest(
        self, repository: str, content: bytes, media_type: str, *, tag: str | None = None
    ) -> Digest:
        self._pushed += 1
        if self._call == f"manifest {self._pushed}":
            raise ForbiddenError("push", repository, "log in")
        return super().push_manifest(repository, content, media_type, tag=tag)

    def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        return () if self._call == "referrers" else super().referrers(repository, digest)

    def push_blob(self, repository: str, content: Content) -> Blob:
        if self._call == f"blob {repository}":
            raise UnavailableError("push", repository, "start it")
        return super().push_blob(repository, content)


@pytest.mark.parametrize(
    ("call", "level", "what"),
    [
        ("manifest 1", "bad", "cannot push: push: log in"),
        ("manifest 2", "bad", "takes no signatures"),
        ("manifest 3", "bad", "cannot be moved"),
        ("referrers", "bad", "does not list what is attached"),
        ("blob ml/other", "warn", "nothing can be put into ml/other"),
    ],
)
def test_what_a_registry_refuses_is_told(call: str, level: str, what: str) -> None:
    found = list(registry.examine(Refusing(call), [("ml/fraud", "ml/other")]))
    assert (found[0].level, what in found[0].what) == (level, True)
