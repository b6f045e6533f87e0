"""SLSA provenance v1 of an image that Laurel baked: from which bytes, for whom, by which builder.

It describes the image and is made once; where the image was sent is a deployment's business.
Claimed is SLSA Build L1: the key lies beside the build (https://slsa.dev/spec/v1.0/levels).
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from pydantic import Field, ValidationError

from pipeline.domain.evidence import Refused
from pipeline.domain.references import Digest
from pipeline.trust.byproducts import SmokeRequest, read_smoke_request
from pipeline.trust.shapes import Exact, Loose, Sha256, mismatch
from pipeline.trust.statements import SLSA_PROVENANCE, Statement

BUILD_TYPE = "https://laurel.dev/build/mlflow-image/v1"
_MODEL, _BASE, _LOCK = "mlflow-model", "base-image", "requirements.lock"


@dataclass(frozen=True, slots=True)
class Invocation:
    """The run of Laurel that made an image: told in provenance, and never compared."""

    promotion_id: str
    finished_on: str
    laurel_version: str
    alias: str | None
    run_id: str | None
    model_id: str | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """What an image was made of; every field is compared when an image is verified.

    The digests are of the bytes that were baked, computed by Laurel, never copied from MLflow.
    ``request`` is the model's own logged example, where the image answered it when it was smoked;
    who may read the image finds it there too.
    """

    registry_url: str
    workspace: str
    model: str
    version: int
    repository: str
    platform: str
    runtime: str
    builder_id: str
    artifact_digest: Digest
    lock_digest: Digest
    base_digest: Digest
    request: SmokeRequest | None = None

    def statement(self, image: Digest, invocation: Invocation) -> Statement:
        """Say it about ``image``, with the run that made it."""
        left = {} if self.request is None else {"byproducts": [self.request.descriptor()]}
        return Statement(
            image,
            SLSA_PROVENANCE,
            {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": self._asked_for(invocation.alias),
                    "resolvedDependencies": self._used(invocation),
                },
                "runDetails": {
                    "builder": {
                        "id": self.builder_id,
                        "version": {"laurel": invocation.laurel_version},
                    },
                    "metadata": {
                        "invocationId": invocation.promotion_id,
                        "finishedOn": invocation.finished_on,
                    },
                    **left,
                },
            },
        )

    def _asked_for(self, alias: str | None) -> dict[str, Any]:
        """List what the caller chose, and what the alias meant at that moment."""
        asked: dict[str, Any] = {
            "modelUri": f"models:/{self.model}@{alias}"
            if alias
            else f"models:/{self.model}/{self.version}",
            "registry": self.registry_url,
            "workspace": self.workspace,
            "model": self.model,
            "version": str(self.version),
            "target": {"repository": self.repository},
            "platforms": [self.platform],
            "runtime": self.runtime,
        }
        return asked | ({"alias": alias} if alias else {})

    def _used(self, invocation: Invocation) -> list[dict[str, Any]]:
        """List what went into the image (in-toto ResourceDescriptors)."""
        origin = {"run_id": invocation.run_id, "model_id": invocation.model_id}
        known = {name: value for name, value in origin.items() if value}
        qualifiers = urlencode({"repository_url": self.registry_url}, safe="/:")
        return [
            {
                "name": _MODEL,
                "uri": f"pkg:mlflow/{quote(self.model, safe='')}@{self.version}?{qualifiers}",
                "digest": {"sha256": self.artifact_digest.hex},
                "annotations": known,
            },
            {"name": _BASE, "digest": {"sha256": self.base_digest.hex}},
            {"name": _LOCK, "digest": {"sha256": self.lock_digest.hex}},
        ]


def read_provenance(predicate: dict[str, Any]) -> Provenance | Refused:
    """Read a predicate that :meth:`Provenance.statement` could have written.

    A parameter that this reader does not know is refused, for it may change what all the others
    mean (SLSA, "verifying artifacts").
    """
    try:
        read = _Predicate.model_validate(predicate)
    except ValidationError as error:
        return Refused(f"the provenance is not one of Laurel's ({mismatch(error)})")
    asked = read.build_definition.external_parameters
    used = {
        name: [d.digest for d in read.build_definition.resolved_dependencies if d.name == name]
        for name in (_MODEL, _BASE, _LOCK)
    }
    for name, digests in used.items():
        if len(digests) != 1:
            return Refused(f"the provenance lists {name} {len(digests)} times instead of once")
    request = read_smoke_request(read.run_details.byproducts)
    if isinstance(request, Refused):
        return request
    return Provenance(
        registry_url=asked.registry,
        workspace=asked.workspace,
        model=asked.model,
        version=int(asked.version),
        repository=asked.target.repository,
        platform=asked.platforms[0],
        runtime=asked.runtime,
        builder_id=read.run_details.builder.id,
        artifact_digest=used[_MODEL][0].digest,
        lock_digest=used[_LOCK][0].digest,
        base_digest=used[_BASE][0].digest,
        request=request,
    )


class _Target(Exact):
    repository: str


class _ExternalParameters(Exact):
    model_uri: str
    registry: str
    workspace: str
    model: str
    version: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,17}\z")]
    alias: str = ""
    target: _Target
    platforms: Annotated[list[str], Field(min_length=1, max_length=1)]
    runtime: str


class _Dependency(Loose):
    name: str
    digest: Sha256


class _BuildDefinition(Loose):
    build_type: Literal["https://laurel.dev/build/mlflow-image/v1"]
    external_parameters: _ExternalParameters
    resolved_dependencies: list[_Dependency]


class _Builder(Loose):
    id: str


class _RunDetails(Loose):
    builder: _Builder
    byproducts: list[dict[str, Any]] = Field(default_factory=list)


class _Predicate(Loose):
    build_definition: _BuildDefinition
    run_details: _RunDetails
