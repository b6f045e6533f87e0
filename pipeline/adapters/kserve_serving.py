"""Deploys to KServe in Knative mode; implements :class:`ServingTarget`."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from pipeline.domain.evidence import Refused, VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.serving import Hold, Readiness, ServiceState
from pipeline.errors import ConflictError, UnavailableError
from pipeline.kserve import patches
from pipeline.kserve.adoption import adoption
from pipeline.kserve.asking import Gateway
from pipeline.kserve.cluster import Cluster
from pipeline.kserve.deploying import deploy
from pipeline.kserve.patches import Wanted
from pipeline.kserve.preflight import objection
from pipeline.kserve.readiness import trouble
from pipeline.kserve.restoring import restore
from pipeline.kserve.service import Service
from pipeline.kserve.shifting import complete, shift
from pipeline.kserve.starting import Waiting
from pipeline.kserve.viewing import hold_to_json, observe

T = TypeVar("T")
_TRIES = 5


class KServeServing:
    """The serving target ``kserve``; implements :class:`pipeline.ports.ServingTarget`.

    Nothing that counts is remembered here between two calls: every call reads what stands on the
    cluster, changes it by guarded patches, and reads anew where a guard did not hold.

    Parameters
    ----------
    cluster
        The namespace that the services are in.
    gateway
        Where the addresses of revisions are reached.
    platforms
        What the cluster's nodes run. Not asked of the nodes, which takes a right over the whole
        cluster that Laurel does not want.
    smoke
        The namespace that images are tried in before, where that is done in pods.

    """

    def __init__(
        self,
        cluster: Cluster,
        gateway: Gateway,
        platforms: Iterable[str] = ("linux/amd64",),
        smoke: Cluster | None = None,
    ) -> None:
        self._cluster = cluster
        self._gateway = gateway
        self._smoke = smoke
        self._waiting = Waiting()
        self._platforms = frozenset(platforms)

    def platforms(self, service: str) -> frozenset[str]:  # noqa: ARG002 - the same for all
        """Name what the cluster's nodes run, as the settings say."""
        return self._platforms

    def objection(self, plan: Plan) -> str | None:
        """Say in a clause, with the fix, why this service cannot be rolled out there at all."""
        return objection(self._cluster, plan, self._smoke)

    def observe(self, service: str) -> ServiceState:
        """Read what serves now: the split that the gateway has."""
        return observe(self._service(service))

    def deploy(
        self, plan: Plan, image: VerifiedImage, sequence: int, *, at_once: bool = False
    ) -> str:
        """Start a revision of this image at 0 %, or find the one that is there; its name."""
        return _again(
            lambda: deploy(self._service(plan.service), plan, image, sequence, at_once=at_once)
        )

    def differences(self, plan: Plan, image: VerifiedImage) -> tuple[str, ...]:
        """Show as a diff what would change of a service that Laurel did not make."""
        now = self._service(plan.service).read()
        if now is None or now.taken:
            return ()
        found = adoption(now.raw, plan, image)
        if isinstance(found, Refused):
            return (found.reason, *str(found.evidence.get("diff", "")).splitlines())
        return tuple(found.diff.splitlines())

    def readiness(self, service: str, revision: str, *, wait: float = 0.0) -> tuple[Readiness, str]:
        """Tell whether a revision can take traffic, and why not: its pods' last words included."""
        return self._waiting.readiness(self._service(service), revision, wait=wait)

    def trouble(self, service: str, revision: str) -> str:
        """Say what befell the pods of a revision that had traffic, also where they are back."""
        return trouble(self._service(service), revision)

    def ask(self, service: str, revision: str, body: bytes) -> tuple[int, bytes]:
        """POST to a revision through the address that its tag has, whatever its share is."""
        at = self._service(service)
        now = at.there()
        at.known(now, revision)
        if address := now.address(revision) if now.routed else "":
            return self._gateway.ask(address, body)
        raise UnavailableError(
            "ask the revision", revision, f"the gateway of {service} has no address for it yet"
        )

    def shift(self, service: str, revision: str, percent: int, sequence: int) -> None:
        """Give the canary this share once it is warm, and return when that was observed."""
        _again(lambda: shift(self._service(service), self._gateway, revision, percent, sequence))

    def complete(self, service: str, revision: str, sequence: int) -> None:
        """Give the revision everything, and return when that was observed."""
        _again(lambda: complete(self._service(service), self._gateway, revision, sequence))

    def restore(self, service: str, sequence: int) -> None:
        """Give stable everything back, and leave a clean InferenceService."""
        _again(lambda: restore(self._service(service), sequence))

    def hold(self, service: str, hold: Hold | None) -> None:
        """Write on the service that it is held, or no longer; a service not there is left so."""
        at = self._service(service)
        said = None if hold is None else hold_to_json(hold)

        def write() -> None:
            now = at.read()
            if now is not None:
                at.patch(patches.held(now, said))

        _again(write)

    def adopt(self, service: str, image: VerifiedImage) -> None:
        """Take this image, which somebody put there by hand, for what should be stable."""
        at = self._service(service)
        now = at.there()
        wanted = Wanted(str(image.ref), str(image.model), now.sequence)
        if now.image != wanted.image or at.image(now.rolled_out) != wanted.image:
            raise ConflictError(
                "adopt the image", f"{service}, {wanted.image}", "it serves another one by now"
            )
        at.patch(patches.recorded(now, wanted))

    def keep(self) -> None:
        """Do nothing: KServe keeps what is asked for."""

    def close(self) -> None:
        """Close the connections to the gateway."""
        self._gateway.close()

    def _service(self, name: str) -> Service:
        return Service(self._cluster, name)


def _again(do: Callable[[], T]) -> T:
    """Do it; where somebody else wrote in between, decide anew from what is there by then."""
    for _ in range(_TRIES - 1):
        try:
            return do()
        except ConflictError:
            continue
    return do()
