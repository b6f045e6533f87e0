"""Deploys to this machine: model servers behind an Envoy; implements :class:`ServingTarget`."""

import time

from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.serving import Hold, Readiness, Revision, ServiceState
from pipeline.errors import ConfigurationError, ConflictError, NotFoundError
from pipeline.image.config import host_platform
from pipeline.local.desired import Deployed, Desired
from pipeline.local.front import Front
from pipeline.local.rootfs import RootfsCache
from pipeline.local.server import plain_env
from pipeline.local.supervisor import Supervisor

_LOOK_EVERY = 0.1


class LocalServing:
    """The serving target ``local``; implements :class:`pipeline.ports.ServingTarget`.

    Every call leaves the machine as it says, whoever else is at work on it; what crashes in
    between is mended by :meth:`Supervisor.reconcile`.
    """

    def __init__(self, supervisor: Supervisor, front: Front, images: RootfsCache) -> None:
        self._supervisor = supervisor
        self._front = front
        self._images = images

    def platforms(self, service: str) -> frozenset[str]:  # noqa: ARG002 - all run here
        """Name this machine's platform."""
        return frozenset({host_platform()})

    def objection(self, plan: Plan) -> str | None:
        """Name the variable that refers to a secret, which this machine has not."""
        try:
            plain_env(plan.service, plan.env)
        except ConfigurationError as error:
            return str(error)
        return None

    def observe(self, service: str) -> ServiceState:
        """Read what serves now: the shares are Envoy's own answer, not what it was told."""
        desired = self._supervisor.desired(service)
        shares = self._front.traffic().get(service, {}) if desired.revisions else {}

        def seen(name: str | None) -> Revision | None:
            return self._revision(name, desired, shares) if name else None

        return ServiceState(
            service,
            self._front.url,
            desired.sequence,
            seen(desired.stable),
            seen(desired.canary),
            hold=desired.hold,
        )

    def deploy(
        self,
        plan: Plan,
        image: VerifiedImage,
        sequence: int,
        *,
        at_once: bool = False,  # noqa: ARG002 - what is warm is found either way
    ) -> str:
        """Start a revision of this image at 0 %, or find the one that already runs; its name."""
        deployed = Deployed(image.ref, image.model.version, plain_env(plan.service, plan.env))
        self._images.provide(image.ref)  # may take seconds: nobody waits for the lock meanwhile
        after = self._supervisor.change(plan.service, lambda now: now.deploy(deployed, sequence))
        return next(name for name, what in after.revisions.items() if what == deployed)

    def differences(self, plan: Plan, image: VerifiedImage) -> tuple[str, ...]:  # noqa: ARG002 - as below
        """Nothing: on this machine everything was made by Laurel."""
        return ()

    def readiness(self, service: str, revision: str, *, wait: float = 0.0) -> tuple[Readiness, str]:
        """Tell whether a revision can take traffic, and why not."""
        self._running(service, revision, "ask for readiness")
        end = time.monotonic() + wait
        while True:
            readiness, detail = self._supervisor.readiness(revision)
            if readiness is not Readiness.STARTING or time.monotonic() >= end:
                return readiness, detail
            time.sleep(_LOOK_EVERY)

    def trouble(self, service: str, revision: str) -> str:
        """Say why a revision that had traffic cannot take any; ``""`` where it can."""
        return self.readiness(service, revision)[1]

    def ask(self, service: str, revision: str, body: bytes) -> tuple[int, bytes]:
        """POST to the revision's own socket, past the front."""
        self._running(service, revision, "ask a model")
        return self._supervisor.ask(revision, body)

    def shift(self, service: str, revision: str, percent: int, sequence: int) -> None:
        """Give the canary this share, and return when Envoy does so."""
        self._supervisor.change(service, lambda now: now.shift(revision, percent, sequence))

    def complete(self, service: str, revision: str, sequence: int) -> None:
        """Give the revision everything; what served before stays warm for a rollback."""
        self._supervisor.change(service, lambda now: now.complete(revision, sequence))

    def restore(self, service: str, sequence: int) -> None:
        """Give stable everything back and remove the canary."""
        self._supervisor.change(service, lambda now: now.restore(sequence))

    def hold(self, service: str, hold: Hold | None) -> None:
        """Write on the service's record that it is held, or no longer."""
        self._supervisor.change(service, lambda now: now.held(hold))

    def adopt(self, service: str, image: VerifiedImage) -> None:
        """Find the image there already: nobody changes anything by hand on this machine."""
        desired = self._supervisor.desired(service)
        serving = desired.stable and desired.revisions[desired.stable].image
        if serving != image.ref:
            raise ConflictError("adopt an image", service, f"it serves {serving or 'nothing'}")

    def keep(self) -> None:
        """Adopt what matches, restart what is missing, end what no service references."""
        self._supervisor.reconcile()

    def down(self, service: str | None = None) -> None:
        """End what runs for a service, or everything with Envoy; ``laurel down``."""
        self._supervisor.stop(service)

    def _running(self, service: str, revision: str, what: str) -> None:
        if revision not in self._supervisor.desired(service).revisions:
            raise NotFoundError(
                what, revision, f"service {service} does not run it: promote it again"
            )

    def _revision(self, name: str, desired: Desired, shares: dict[str, int]) -> Revision:
        deployed = desired.revisions[name]
        readiness, detail = self._supervisor.readiness(name)
        return Revision(
            name, deployed.image, shares.get(name, 0), readiness, deployed.model_version, detail
        )
