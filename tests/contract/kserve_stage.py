"""What traps of KServe are played on: one service with its users, on a fake cluster or a real."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.domain.evidence import VerifiedImage
from pipeline.kserve.json_patch import Json
from pipeline.kserve.resources import INFERENCE_SERVICES, PODS, REVISIONS
from pipeline.kserve.revisions import Revision
from tests.contract.kserve_promoting import Promoting

ANNOTATION = "/metadata/annotations/serving.kserve.io~1"


@dataclass(frozen=True)
class Manner:
    """How an image is that is not simply good."""

    ready_after: int = 0
    fails: bool = False
    crashes_at_start: bool = False


class Stage(Promoting):
    """One service on a cluster, its users, and what gets into its way."""

    @abstractmethod
    def image_like(self, version: str, manner: Manner) -> VerifiedImage:
        """Have an image that behaves so."""

    @abstractmethod
    def until(self, seen: Callable[[], object]) -> None:
        """Let time pass until something is seen."""

    @abstractmethod
    def answered_by(self, *versions: str) -> AbstractContextManager[None]:
        """Have users meanwhile, and see that none but these versions answered any of them."""

    @abstractmethod
    def no_revisions(self) -> AbstractContextManager[None]:
        """Refuse every new revision, as a quota or a slow webhook would."""

    @abstractmethod
    def no_pods_of(self, image: VerifiedImage) -> AbstractContextManager[None]:
        """Refuse the pods of an image, as a signature verifier would."""

    @abstractmethod
    def crash(self, revision: str) -> None:
        """End the containers of a revision that are ready."""

    @abstractmethod
    def unready(self, revision: str) -> None:
        """Have a revision's pods fail their probes from now on, and live."""

    def edit(self, *operations: Json, subresource: str = "") -> None:
        """Change the InferenceService as a person with kubectl does."""
        self.cluster.patch(INFERENCE_SERVICES, self.name, operations, subresource=subresource)

    def annotate(self, key: str, value: str) -> None:
        """Write one of KServe's annotations."""
        self.edit({"op": "add", "path": f"{ANNOTATION}{key}", "value": value})

    def says(self, kind: str) -> str:
        """Read why a condition is as it is."""
        found = self.now().condition(kind)
        return f"{found.status} {found.reason}".strip()

    def revision(self, name: str) -> Revision:
        """Read a revision."""
        found = self.cluster.get(REVISIONS, name)
        assert found is not None, name
        return Revision.parse(found)

    def back_off(self, revision: str) -> int:
        """Tell how often a container was started that waits to be started again; 0 if none does."""
        label = f"serving.knative.dev/revision={revision}"
        return max(
            (
                container["restartCount"]
                for pod in self.cluster.list(PODS, labels=label)
                for container in pod["status"].get("containerStatuses", ())
                if container["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
            ),
            default=0,
        )

    def clean(self) -> None:
        """See that nothing of a change in flight is left."""
        now = self.now()
        assert now.clean, f"not clean: {now.percent}, {now.annotations}"

    @contextmanager
    def overtaken(self, *operations: Json) -> Iterator[None]:
        """Have a person edit the service between what Laurel reads and its next patch."""
        patch = self.cluster.patch

        def late(*args: Any, **how: Any) -> Json:  # noqa: ANN401 - as patch() takes them
            self.cluster.patch = patch  # type: ignore[method-assign]  # its one door
            self.edit(*operations)
            return patch(*args, **how)

        self.cluster.patch = late  # type: ignore[method-assign]  # its one door
        try:
            yield
        finally:
            self.cluster.patch = patch  # type: ignore[method-assign]  # its one door
