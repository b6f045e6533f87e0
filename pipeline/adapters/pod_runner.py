"""Runs an image for smoke in a pod of its own: where Laurel itself lives in a pod.

There it can make no namespaces, and model code must not run beside its keys (law 9). The pod is in
a namespace of its own, reached by its address; what a killed Laurel left there is removed by the
next one, and ended by the cluster in any case.
"""

import hashlib
import logging
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.domain.evidence import BuiltImage
from pipeline.domain.plan import EnvVar
from pipeline.errors import PermanentError, TransientError, UnavailableError
from pipeline.kserve.cluster import Cluster
from pipeline.kserve.pod_state import PodState
from pipeline.kserve.resources import NETWORK_POLICIES, PODS
from pipeline.kserve.running_pod import RunningPod
from pipeline.kserve.smoke_pod import HOST, LABELS, LONGEST, PROCESS, denies_egress, smoke_pod
from pipeline.local.processes import Process
from pipeline.ports import RunningModel

_log = logging.getLogger(__name__)
_PATIENCE_TO_START = 900.0  # a node may have to be made first, and gigabytes be pulled


class PodRunner:
    """Starts images as pods; implements :class:`pipeline.ports.ModelRunner`.

    Parameters
    ----------
    cluster
        The namespace that is for nothing else.
    limits
        What a pod may take: ``{"cpu": "2", "memory": "4Gi"}``.
    patience
        Seconds until a pod must have started, its image pulled.

    """

    def __init__(
        self, cluster: Cluster, limits: Mapping[str, str], *, patience: float = _PATIENCE_TO_START
    ) -> None:
        self._cluster = cluster
        self._limits = dict(limits)
        self._patience = patience
        self._here = Process.this()

    @contextmanager
    def run(self, image: BuiltImage, env: tuple[EnvVar, ...]) -> Iterator[RunningModel]:
        """Start the image and wait until its program runs; leaving the context ends it."""
        self._require_no_way_out()
        self._sweep()
        name = f"smoke-{secrets.token_hex(8)}"
        owner = {HOST: _host(self._here), PROCESS: f"{self._here.pid}-{self._here.start}"}
        pod = smoke_pod(name, image, env, limits=self._limits, owner=owner)
        try:
            self._cluster.create(PODS, pod)
            yield RunningPod(self._cluster, name, self._started(name, image), self._limits)
        finally:
            self._remove(name)

    def _require_no_way_out(self) -> None:
        if not denies_egress(self._cluster.list(NETWORK_POLICIES)):
            raise PermanentError(
                "start a model's pod",
                f"namespace {self._cluster.namespace}",
                "no NetworkPolicy there denies every pod all egress, or another one allows some: "
                "kubectl apply -k k8s/smoke",
            )

    def _started(self, name: str, image: BuiltImage) -> str:
        """Wait until the program runs, or ran; return the pod's address, ``""`` where it ended."""
        state = PodState()
        for pod in self._cluster.watch(PODS, name, seconds=self._patience):
            if pod is None:
                raise UnavailableError("start a model's pod", name, "somebody removed it meanwhile")
            state = PodState.of(pod)
            if state.obstacle:
                raise PermanentError("start the image as a pod", str(image.ref), self._fix(state))
            if state.address or state.ended:
                return state.address
        raise UnavailableError(
            "start the image as a pod",
            str(image.ref),
            f"not started after {self._patience:.0f} s: {state.waiting or 'no word of why'}",
        )

    def _fix(self, state: PodState) -> str:
        where = f"namespace {self._cluster.namespace}"
        if "ImagePull" in state.obstacle:
            return (
                f"{state.obstacle}; let the nodes reach the registry, and give the account "
                f"`default` of {where} a pull secret for it"
            )
        if "secret" in state.obstacle:
            return f"{state.obstacle}; what env: refers to must also be in {where}"
        return f"{state.obstacle} ({where})"

    def _sweep(self) -> None:
        """Remove what nobody waits for any more: a dead process's pods here, and very old ones."""
        labels = ",".join(f"{key}={value}" for key, value in LABELS.items())
        for pod in self._cluster.list(PODS, labels=labels):
            if self._left_behind(pod.get("metadata") or {}):
                self._remove(pod["metadata"]["name"])

    def _left_behind(self, metadata: dict[str, Any]) -> bool:
        labels = metadata.get("labels") or {}
        if labels.get(HOST) == _host(self._here):
            pid, _, start = str(labels.get(PROCESS, "")).partition("-")
            return not _alive(self._here, pid, start)
        made = datetime.fromisoformat(metadata["creationTimestamp"])
        return datetime.now(UTC) - made > timedelta(seconds=2 * LONGEST)

    def _remove(self, name: str) -> None:
        try:
            self._cluster.delete(PODS, name)
        except TransientError as error:  # the next run removes it, and its deadline ends it
            _log.warning("a model's pod stays for a while", extra={"why": str(error)})


def _host(here: Process) -> str:
    """Name this machine or pod, until its next boot, as a label may."""
    return hashlib.sha256(f"{socket.gethostname()} {here.boot}".encode()).hexdigest()[:32]


def _alive(here: Process, pid: str, start: str) -> bool:
    known = pid.isascii() and pid.isdigit() and start.isascii() and start.isdigit()
    return known and Process(int(pid), int(start), here.boot, 0.0).alive()
