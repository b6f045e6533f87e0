"""A model server in a pod of its own, reached by the pod's address."""

import time
from collections.abc import Mapping

from pipeline.domain.serving import Readiness
from pipeline.errors import UnavailableError
from pipeline.kserve.cluster import Cluster
from pipeline.kserve.pod_http import ask
from pipeline.kserve.pod_state import PodState
from pipeline.kserve.resources import PODS
from pipeline.kserve.smoke_pod import CONTAINER, PORT

_OK = 200
_PROBE_SECONDS = 1.0
_LOOK_EVERY = 1.0
_ANSWER_SECONDS = 60.0
_ANSWER_BYTES = 65536
_LINES, _SHOWN = 20, 8192


class RunningPod:
    """One started pod; implements :class:`pipeline.ports.RunningModel`."""

    def __init__(
        self, cluster: Cluster, name: str, address: str, limits: Mapping[str, str]
    ) -> None:
        self._cluster = cluster
        self._name = name
        self._address = address
        self._limits = limits
        self._looked = 0.0

    def readiness(self) -> Readiness:
        """Ask once; ``FAILED`` when its program has ended.

        The cluster is asked where the pod does not answer, once a second, and before a yes is
        believed: another pod may have the address by then.
        """
        if not self._address:
            return Readiness.FAILED
        try:
            status, _ = ask(
                self._address, "/v2/health/ready", port=PORT, timeout=_PROBE_SECONDS, limit=1024
            )
        except UnavailableError:
            if time.monotonic() - self._looked < _LOOK_EVERY:
                return Readiness.STARTING
            self._looked = time.monotonic()
            return Readiness.STARTING if self._runs() else Readiness.FAILED
        if status != _OK:
            return Readiness.STARTING
        return Readiness.READY if self._runs() else Readiness.FAILED

    def invoke(self, body: bytes) -> tuple[int, bytes]:
        """POST to ``/invocations``; a server that does not answer counts as 503, saying why."""
        try:
            return ask(
                self._address,
                "/invocations",
                port=PORT,
                body=body,
                timeout=_ANSWER_SECONDS,
                limit=_ANSWER_BYTES,
            )
        except UnavailableError as error:
            return 503, error.hint.encode()

    def output(self) -> str:
        """Return the last lines that it printed, and what ended it if it was not itself."""
        try:
            printed = self._cluster.logs(self._name, CONTAINER, lines=_LINES)[-_SHOWN:].rstrip("\n")
        except UnavailableError as error:  # the API server, or the kubelet that it asks
            return f"its output cannot be read: {error.hint}"
        by = self._state().ended_by
        if not by:
            return printed
        ended = f"the cluster ended it: {by}"
        if "OOM" in by:
            ended += f", its limit is {self._limits.get('memory')} (serving.smoke_limits)"
        return "\n".join(filter(None, (printed, ended)))

    def _runs(self) -> bool:
        return self._state().address == self._address

    def _state(self) -> PodState:
        pod = self._cluster.get(PODS, self._name)
        return (
            PodState(ended=True, ended_by="somebody removed it")
            if pod is None
            else PodState.of(pod)
        )
