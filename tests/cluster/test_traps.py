"""Traps of KServe and Knative on a real cluster: they catch nobody, and without a guard they do.

The table and its scenarios: tests/contract/kserve_traps.py. Each runs twice here, the second time
with its guards taken out, which users must feel. All of them are shown here but two, for which that
table names another test: metrics are a setting of the whole cluster, and a revision is given up for
good only after minutes. The same scenarios run on the fake cluster, where no test waits, in
tests/unit/kserve/test_traps.py.
"""

import http.client
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.adapters.kserve_serving import KServeServing
from pipeline.domain.evidence import VerifiedImage
from pipeline.errors import LaurelError
from pipeline.kserve import deploying, restoring, shifting
from pipeline.kserve.asking import Gateway
from pipeline.kserve.cluster import connect
from pipeline.kserve.json_patch import Json
from tests.cluster.grounds import Ground
from tests.cluster.models import Model
from tests.cluster.obstacles import denied
from tests.cluster.services import Services
from tests.cluster.stack.whole import Whole
from tests.cluster.traffic import steady
from tests.contract.kserve_stage import Manner, Stage
from tests.contract.kserve_trap_scenarios import LAST_WORDS
from tests.contract.kserve_traps import ELSEWHERE, TRAPS
from tests.servers.waiting import until

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
KNOWN = {*"123456789", *"ABCDEFGHIJK"}
"""Those of kserve.md 0 that are Laurel's to know, and what was found beyond them."""
_FELT = (AssertionError, pytest.fail.Exception, LaurelError)
_REVISIONS = ("serving.knative.dev", "v1", "revisions")
_PODS = ("", "v1", "pods")
_PATIENCE = 90.0


@dataclass
class RealStage(Ground, Stage):
    """A service on the real cluster: its users send requests all the while."""

    def image_like(self, version: str, manner: Manner) -> VerifiedImage:
        knobs = {"READY_AFTER": f"{manner.ready_after}s"} if manner.ready_after else {}
        knobs |= {"ERROR_RATE": "1"} if manner.fails else {}
        if manner.crashes_at_start:
            knobs |= {"NEVER_READY": "1", LAST_WORDS: "300ms"}  # which it says before it ends
        return self.image(version, **knobs)

    def until(self, seen: Callable[[], object]) -> None:
        until(seen, "the scene", _PATIENCE, lambda: self.now().raw.get("status"))

    @contextmanager
    def answered_by(self, *versions: str) -> Iterator[None]:
        try:
            with steady(self.users(), 40, 8) as seen:
                seen.wait(20)
                try:
                    yield
                finally:
                    seen.wait(60)
        finally:
            met = {(each.status, each.version) for each in seen.answers}
            assert met == {(200, version) for version in versions}, seen.counts()

    def no_revisions(self) -> AbstractContextManager[None]:
        return self._denied(_REVISIONS, "exceeded quota", "false")

    def no_pods_of(self, image: VerifiedImage) -> AbstractContextManager[None]:
        digest = image.ref.digest
        unless = f"!object.spec.containers.exists(c, c.image.contains('{digest}'))"
        return self._denied(_PODS, "image is not signed", unless)

    def crash(self, revision: str) -> None:
        self._tell("crash", [pod for pod in self.services.pods(revision) if _is_ready(pod)])

    def unready(self, revision: str) -> None:
        self._tell("unready", self.services.pods(revision))

    def _tell(self, what: str, pods: list[Json]) -> None:
        """Tell pods what to be from now on."""
        for pod in pods:
            to = http.client.HTTPConnection(pod["status"].get("podIP", ""), 8080, timeout=5)
            with closing(to), suppress(OSError, http.client.HTTPException):
                to.request("POST", f"/admin/{what}")
                to.getresponse().read()

    def _denied(
        self, kind: tuple[str, str, str], message: str, unless: str
    ) -> AbstractContextManager[None]:
        at = self.services.namespace
        name = f"no-{kind[2]}-{at}"
        return denied(self.services.api, name, kind, message, namespace=at, unless=unless)


def _is_ready(pod: Json) -> bool:
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"


@pytest.fixture
def stage(
    cluster: Whole,
    services: Services,
    model: Model,
    kubeconfig: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[str], Stage]]:
    for module, limit, seconds in (
        (deploying, "MADE_WITHIN", 15.0),
        (shifting, "WARM_WITHIN", 5.0),
        (shifting, "SEEN_WITHIN", 15.0),
        (restoring, "RESTORED_WITHIN", 40.0),
    ):
        monkeypatch.setattr(module, limit, seconds)
    with closing(Gateway(cluster.place.gateway)) as gateway:

        def made(name: str) -> Stage:
            door = connect(kubeconfig=kubeconfig, context=None, namespace=services.namespace)
            return RealStage(name, services, model, door, KServeServing(door, gateway))

        yield made


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_of_a_real_cluster_catches_users_only_without_its_guard(
    stage: Callable[[str], Stage], trap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = TRAPS[trap]
    known.scenario(stage("guarded"))
    for where, guard, nothing in known.guards:
        monkeypatch.setattr(where, guard, nothing)
    with pytest.raises(_FELT, match=known.felt):
        known.scenario(stage("unguarded"))


def test_every_trap_has_its_test() -> None:
    assert {*ELSEWHERE} | {name[0] for name in TRAPS} == KNOWN
    for where, name in ELSEWHERE.values():
        assert f"def {name}(" in (ROOT / where).read_text(), name
