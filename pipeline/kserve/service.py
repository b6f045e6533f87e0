"""One service on the cluster: its InferenceService and its revisions, read, waited for, patched."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from pipeline.errors import ConflictError, NotFoundError, StaleSequenceError
from pipeline.kserve import patches
from pipeline.kserve.cluster import Cluster
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.json_patch import Json
from pipeline.kserve.resources import INFERENCE_SERVICES, KNATIVE_SERVICES, PODS, REVISIONS
from pipeline.kserve.revisions import KnativeService, Revision
from pipeline.kserve.waiting import until

T = TypeVar("T")
_LEAVES_WITHIN = 30.0
_OF_SERVICE = "serving.knative.dev/service"
_OF_REVISION = "serving.knative.dev/revision"


class Service:
    """The InferenceService of one service, whether it is there or not.

    Revisions never change what they run, so each image is read once.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self._images: dict[str, str] = {}

    def read(self) -> InferenceService | None:
        """Read it; ``None`` where there is none."""
        raw = self.cluster.get(INFERENCE_SERVICES, self.name)
        return None if raw is None else InferenceService.parse(raw)

    def there(self) -> InferenceService:
        """Read it; ``NotFoundError`` where there is none."""
        now = self.read()
        if now is None:
            raise self.gone("change traffic")
        return now

    def settled_in(self) -> InferenceService | None:
        """Read it once it is not on its way out any more; ``None`` where there is none."""
        now = self.read()
        if now is None or not now.leaving:
            return now
        left = self.until(lambda seen: seen is None or None, seconds=_LEAVES_WITHIN)
        if left is None:
            raise ConflictError(
                "change traffic", f"InferenceService {self.name}", "it is being deleted; look again"
            )
        return None

    def revision(self, name: str) -> Revision | None:
        """Read a revision; ``None`` where there is none of that name."""
        raw = self.cluster.get(REVISIONS, name) if name else None
        if raw is None:
            return None
        found = Revision.parse(raw)
        self._images[name] = found.image
        return found

    def known(self, now: InferenceService, name: str) -> Revision:
        """Read a revision that serves, is to serve, or served last; no other can be meant."""
        found = self.revision(name)
        named = {now.created, now.ready, now.rolled_out, now.previous}
        if found is None or (name not in named and found.image not in {now.digest, now.canary}):
            raise self.unknown(name)
        return found

    def image(self, revision: str) -> str:
        """Tell which image a revision runs; ``""`` where there is no such revision."""
        if revision not in self._images:
            self.revision(revision)
        return self._images.get(revision, "")

    def revisions(self) -> list[Revision]:
        """Read every revision that the service has, the newest first."""
        found = self.cluster.list(REVISIONS, labels=f"{_OF_SERVICE}={self.name}-predictor")
        return sorted(map(Revision.parse, found), key=lambda one: one.name, reverse=True)

    def pods(self, revision: str) -> list[Json]:
        """Read a revision's pods."""
        return self.cluster.list(PODS, labels=f"{_OF_REVISION}={revision}")

    def final(self, now: InferenceService) -> bool:
        """Tell whether Knative has made all that it will of what the InferenceService asks for.

        Its service runs the same image with the same 0 %, and its configuration made of that what
        KServe calls the newest. Until then a revision of what was asked for before may still come.
        """
        found = self.knative()
        return found is not None and found.made(now)

    def untouched(self, now: InferenceService) -> bool:
        """Tell whether Knative was asked for nothing but what the InferenceService would have it.

        Its service has the image that is asked for without any split, as if no change had begun.
        """
        found = self.knative()
        return found is not None and found.at_rest(now)

    def knative(self) -> KnativeService | None:
        """Read the Knative service that KServe keeps; ``None`` where there is none."""
        raw = self.cluster.get(KNATIVE_SERVICES, f"{self.name}-predictor")
        return None if raw is None else KnativeService.parse(raw)

    def brake(self, revision: str) -> None:
        """Have Knative give a revision everything, without KServe: nothing else is named then."""
        name = f"{self.name}-predictor"
        raw = self.cluster.get(KNATIVE_SERVICES, name)
        if raw is not None:
            self.cluster.patch(KNATIVE_SERVICES, name, patches.braked(raw, revision))

    def create(self, manifest: Json) -> InferenceService:
        """Make it; ``ConflictError`` where somebody else did so first."""
        return InferenceService.parse(self.cluster.create(INFERENCE_SERVICES, manifest))

    def patch(self, operations: Sequence[Json]) -> None:
        """Change it, if there is anything to change."""
        if operations:
            self.cluster.patch(INFERENCE_SERVICES, self.name, operations)

    def patch_status(self, operations: Sequence[Json]) -> None:
        """Correct what KServe remembers, if there is anything to correct."""
        if operations:
            self.cluster.patch(INFERENCE_SERVICES, self.name, operations, subresource="status")

    def remove(self) -> None:
        """Delete it."""
        self.cluster.delete(INFERENCE_SERVICES, self.name)

    def until(
        self, look: Callable[[InferenceService | None], T | None], *, seconds: float
    ) -> T | None:
        """Look at it as it is and after each change, until that has a result; ``None`` if never."""

        def parsed(raw: Json | None) -> T | None:
            return look(None if raw is None else InferenceService.parse(raw))

        return until(self.cluster, INFERENCE_SERVICES, self.name, parsed, seconds=seconds)

    def until_revision(
        self, name: str, look: Callable[[Revision], T | None], *, seconds: float
    ) -> T | None:
        """Look at a revision likewise; ``NotFoundError`` where it is gone."""

        def parsed(raw: Json | None) -> T | None:
            if raw is None:
                raise self.unknown(name)
            return look(Revision.parse(raw))

        return until(self.cluster, REVISIONS, name, parsed, seconds=seconds)

    def admit(self, now: InferenceService, sequence: int) -> None:
        """Refuse a promotion that is older than one that wrote here."""
        if sequence < now.sequence:
            raise StaleSequenceError(
                "change traffic",
                f"service {self.name}, sequence {sequence}",
                f"it already carries promotion {now.sequence}: start a new promotion",
            )

    def gone(self, attempted: str) -> NotFoundError:
        """Make the error for an InferenceService that is not there."""
        return NotFoundError(
            attempted,
            f"InferenceService {self.cluster.namespace}/{self.name}",
            "somebody deleted it: promote again",
        )

    def unknown(self, revision: str) -> NotFoundError:
        """Make the error for a revision that is not there."""
        return NotFoundError(
            "change traffic",
            f"revision {revision}",
            f"service {self.name} does not run it: promote it again",
        )
