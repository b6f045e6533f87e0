"""The fake cluster does what the real one does; tests/cluster/test_semantics.py plays the same."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline.kserve.cluster import Cluster
from tests.contract.kubernetes_scenarios import SCENARIOS
from tests.contract.kubernetes_stage import Scene, Stage
from tests.fakes.kserve_controllers import Behaviour, FakeCluster
from tests.fakes.kubernetes_status import ISVC, POD, REVISION

_LONGEST = 120


class FakeStage:
    """The fake cluster: time is its own, and passes at once."""

    def __init__(self, fake: FakeCluster) -> None:
        self._fake = fake
        self.cluster: Cluster = fake.connect()

    def image(
        self,
        version: str,
        *,
        ready_after: float = 0,
        never_ready: bool = False,
        crash_after: float | None = None,
        broken: bool = False,
    ) -> str:
        digest = f"sha256:{sha256(version.encode()).hexdigest()}"
        self._fake.behaviours[digest] = Behaviour(
            version,
            ready_after=None if never_ready else ready_after,
            crash_after=crash_after,
            status=500 if broken else 200,
        )
        return f"registry.example.com/model@{digest}"

    def missing_image(self) -> str:
        digest = f"sha256:{'0' * 64}"
        image = f"registry.example.com/model@{digest}"
        self._fake.behaviours[digest] = Behaviour("missing", unpullable=f"{image}: not found")
        return image

    def until(self, seen: Callable[[], object]) -> None:
        for _ in range(_LONGEST):
            self._fake.settle()
            if seen():
                return
            self._fake.advance(1)
        raise AssertionError("not seen")

    def wait(self, seconds: float) -> None:
        self._fake.advance(seconds)

    def answers(self, name: str, requests: int = 100, tag: str = "") -> Counter[str]:
        seen: Counter[str] = Counter()
        for (status, who), count in self._fake.answers(name, requests, tag).items():
            seen[who if status == 200 else str(status)] += count
        return seen

    def pods_denied(self, image: str) -> AbstractContextManager[None]:
        return self._fake.denied(
            POD, lambda review: review.object["spec"]["containers"][0]["image"] == image
        )

    def denied(self, plural: str) -> AbstractContextManager[None]:
        return self._fake.denied({"revisions": REVISION, "inferenceservices": ISVC}[plural])

    def full(self) -> AbstractContextManager[None]:
        return self._fake.full()

    def crash(self, revision: str) -> None:
        self._fake.crash(revision)

    def unready(self, revision: str) -> None:
        self._fake.unready(revision)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with FakeCluster(tmp_path) as fake:
        yield FakeStage(fake)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_fake_does_what_a_cluster_does(scenario: Callable[[Scene], None], stage: Stage) -> None:
    scenario(Scene(stage, "fraud"))
