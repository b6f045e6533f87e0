"""What the steps before ``build`` leave for it."""

import sys

from pipeline.adapters.remote_registry import RemoteRegistry
from pipeline.distribution.credentials import Credentials
from pipeline.distribution.transport import Transport
from pipeline.domain.evidence import (
    CheckedModel,
    DescribedModel,
    Lock,
    LockedModel,
    ModelDescription,
    ResolvedModel,
    StoredFile,
)
from pipeline.domain.plan import Plan
from pipeline.domain.references import Digest, ModelVersion

_NAME = "weights"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_LOCK = "# no package: what an environment costs is not measured here\n"


def checked(uri: str) -> CheckedModel:
    """Resolve a model that lies at ``uri``."""
    model = ModelVersion(_NAME, 1)
    resolved = ResolvedModel(model, "champion", "run-1", "m-1", "models:/m-1", uri, {})
    return CheckedModel(resolved, ())


def locked(uri: str, files: tuple[StoredFile, ...]) -> LockedModel:
    """Describe its files, and lock an environment that everybody has."""
    description = ModelDescription("3.17.2", "3.11.7", ("python_function",), ("mlflow==3.17.2",))
    described = DescribedModel(checked(uri), files, description)
    lock = Lock(_LOCK, Digest.of(_LOCK.encode()), "mlserver", PYTHON)
    return LockedModel(described, lock)


def plan_for(repository: str, base: str) -> Plan:
    """Say where a service's images go, and on what they stand."""
    return Plan("fraud", _NAME, repository=repository, base=base)


def remote_registry(host: str) -> RemoteRegistry:
    """Open the registry as a worker does; loopback is spoken to in plain http."""
    return RemoteRegistry(Transport(Credentials({}), plain_http=[host]))
