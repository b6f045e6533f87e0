"""What images are deployed to, and where their requests are counted."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from pipeline.domain.kubernetes import require_namespace
from pipeline.settings.fields import LocalPath, Section, WholeSeconds
from pipeline.settings.pods import LabelKey, Quantity

_PLATFORM = r"^linux/[a-z0-9]+(/v[0-9]+)?\z"
_ONLY = {
    "local": {"port", "state"},
    "kserve": {
        *("namespace", "kubeconfig", "context", "gateway", "platforms", "max_timeout"),
        *("smoke", "smoke_namespace", "smoke_limits"),
    },
}
"""Keys that mean nothing to another target."""
_ADDRESS = re.compile(r"(https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::[0-9]{1,5})?)/?")

Platform = Annotated[str, Field(pattern=_PLATFORM)]
"""Machines as OCI names them: ``linux/amd64``."""


def _address(url: str) -> str:
    """Take ``http://host:port`` alone: requests to it have paths of their own."""
    match = _ADDRESS.fullmatch(url)
    if match is None:
        raise ValueError(f"{url[:200]!r} is no address: write http://HOST:PORT")
    return match[1]


class ServingSettings(Section):
    """What images are deployed to."""

    target: Literal["local", "kserve"] = "local"
    """``local``: model servers on this machine behind Envoy; ``kserve``: InferenceServices."""
    port: int = Field(default=8081, ge=1, le=65535)
    """Envoy's port; the service is chosen by the Host header. ``local`` only."""
    state: LocalPath = Path("serving")
    """Folder for routes, process records and server output. ``local`` only."""
    isolation: Literal["namespaces", "none"] = "namespaces"
    """``none`` runs model code as an ordinary process: for a trusted demonstration only."""
    namespace: Annotated[str, AfterValidator(require_namespace)] | None = None
    """The namespace of the InferenceServices. This and what follows: ``kserve`` only."""
    kubeconfig: LocalPath | None = None
    """How to log in to the cluster; default: as the pod's own account where Laurel runs in one,
    else ``KUBECONFIG`` or ``~/.kube/config``."""
    context: str | None = None
    """The kubeconfig's context; default: its current one."""
    gateway: Annotated[str, AfterValidator(_address)] | None = None
    """Where the cluster's gateway is reached, ``http://HOST:PORT``, with the service's host name as
    Host header; default: the URL that KServe gives the service."""
    platforms: tuple[Platform, ...] = ()
    """What the nodes are: ``[linux/amd64]``; default: such machines as the worker's own."""
    max_timeout: Annotated[WholeSeconds, Field(ge=1)] = 600
    """The longest ``timeout`` that the cluster allows: Knative's max-revision-timeout-seconds."""
    smoke: Literal["sandbox", "pod"] | None = None
    """Where an image is tried before it is signed: in a ``sandbox`` beside the worker, or in a
    ``pod`` of its own; default: ``pod`` where Laurel runs in one itself."""
    smoke_namespace: Annotated[str, AfterValidator(require_namespace)] = "laurel-smoke"
    """The namespace of those pods, which is for nothing else and denies them every connection."""
    smoke_limits: dict[LabelKey, Quantity] = Field(
        default_factory=lambda: {"cpu": "2", "memory": "4Gi"}
    )
    """What such a pod may take."""

    @model_validator(mode="after")
    def _of_one_target(self) -> "ServingSettings":
        for target, keys in _ONLY.items():
            strange = sorted(self.model_fields_set & keys)
            if target != self.target and strange:
                raise ValueError(
                    f"{strange[0]} is a key of target {target}, and target is {self.target}: take "
                    f"it out, or write target: {target}"
                )
        if self.target == "kserve" and self.namespace is None:
            raise ValueError("target kserve needs namespace: that of the InferenceServices")
        return self


class MetricsSettings(Section):
    """Where the analysis reads request counts."""

    source: Literal["envoy", "prometheus"] = "envoy"
    """``envoy``: the front's own statistics, or the gateway's of a cluster; ``prometheus``: what
    Knative's queue-proxies report."""
    url: str | tuple[str, ...] = ()
    """With ``serving: kserve``: where Envoy's statistics are, ``http://gateway:9000``, a list for
    several gateways; or Prometheus, ``https://prometheus.example.com``."""
    ca_file: LocalPath | None = None
    """Certificates of a private authority, in PEM, in place of those that the system trusts."""
    token: SecretStr | None = None
    """Bearer token; ``LAUREL_METRICS__TOKEN``."""

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses as a list."""
        return (self.url,) if isinstance(self.url, str) else self.url
