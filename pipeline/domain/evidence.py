"""What each step leaves for the next one: typed, so that a skipped or swapped step fails to type.

::

    ResolvedModel > CheckedModel > DescribedModel > LockedModel > BuiltImage > SmokedImage
      > SignedImage > VerifiedImage > AdmittedImage > CanaryRevision > ProvenRevision > Analysis
"""

from dataclasses import dataclass, field
from typing import Any

from pipeline.domain.admission import Approval
from pipeline.domain.promotion import Control
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.domain.serving import ServiceState


@dataclass(frozen=True, slots=True)
class Refused:
    """A "no" from a policy, the model or the analysis: a value, not a fault (law 3).

    ``reason`` is one sentence for a person, naming the subject and what to do; ``evidence`` is
    JSON that shows why.
    """

    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stopped:
    """A step that ended early because a person or a newer promotion decided so: no refusal."""

    control: Control


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault that trying again did not mend: a person must look (phase ``errored``)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A question that its neighbour could not answer; ``why`` is what it said.

    While nobody can say whether a promotion is still wanted, no percent is raised.
    """

    why: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file below a model version's artifact root, as the store lists it; ``size`` in bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What the model's small files say of it, read once; each digest is checked at build.

    ``requirements`` are the lines of its own ``requirements.txt``; ``example`` is the request body
    of ``serving_input_example.json`` where one was logged; ``signature`` is MLflow's, as JSON.
    """

    mlflow_version: str
    python_version: str
    flavors: tuple[str, ...]
    requirements: tuple[str, ...]
    example: str | None = None
    signature: str | None = None
    digests: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model version, its run and where its files lie, as MLflow named them at one moment."""

    model: ModelVersion
    alias: str | None
    run_id: str | None
    model_id: str | None
    source: str
    artifact_uri: str
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """A resolved model that the service's policy admits; ``passed`` names the rules it met."""

    resolved: ResolvedModel
    passed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DescribedModel:
    """A checked model with the list of its files and what the small ones say of it."""

    checked: CheckedModel
    files: tuple[StoredFile, ...]
    description: ModelDescription


@dataclass(frozen=True, slots=True)
class Lock:
    """The resolved, hashed set of wheels that an image carries.

    ``text`` is a requirements file with ``--hash`` on every pin and no package index; ``digest``
    is of ``text``; ``python_version`` is the minor version it was resolved for (``3.11``).
    """

    text: str
    digest: Digest
    runtime: str
    python_version: str


@dataclass(frozen=True, slots=True)
class LockedModel:
    """A described model with the lock of its environment and the runtime that will serve it."""

    described: DescribedModel
    lock: Lock


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image in the registry, by digest; nothing has run it and nobody vouches for it yet.

    ``slug`` is the model's name as URLs write it. ``layers`` are diffIDs, base first.
    """

    ref: ImageRef
    model: ModelVersion
    alias: str | None
    run_id: str | None
    model_id: str | None
    source: str
    runtime: str
    slug: str
    artifact_digest: Digest
    lock_digest: Digest
    base_digest: Digest
    platform: str
    layers: tuple[Digest, ...]
    version_key: str
    example: str | None = None
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class SmokedImage:
    """A built image that started, became ready and answered in isolation.

    ``answered`` is ``example``, ``signature`` or ``ready``: what it was asked with.
    """

    built: BuiltImage
    answered: str
    seconds: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SignedImage:
    """An image with a signature and provenance attached; ``verify`` has still to read them back."""

    ref: ImageRef
    model: ModelVersion
    key_id: str
    version_key: str


@dataclass(frozen=True, slots=True)
class VerifiedImage:
    """An image that the trust policy accepts, read back from the registry.

    Only ``pipeline.steps.verify`` makes one, and never from a checkpoint (interfaces §8.16); what
    deploys takes nothing else. ``example`` is the request body that it answered when it was smoked,
    as the provenance keeps it; of one too large to be kept there is only ``example_digest``.
    """

    ref: ImageRef
    model: ModelVersion
    runtime: str
    slug: str
    key_id: str
    artifact_digest: Digest
    lock_digest: Digest
    base_digest: Digest
    statements: tuple[str, ...]
    example: str | None = None
    example_digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class AdmittedImage:
    """A verified image that may have traffic: people agreed, nothing is frozen, there is room.

    Only ``pipeline.steps.admit`` makes one, and never from a checkpoint; ``deploy`` takes nothing
    else. ``approvals`` are those that counted.
    """

    verified: VerifiedImage
    approvals: tuple[Approval, ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """What a service serves before it is changed.

    ``adopted`` tells, a line each, what becomes different of one that somebody else made.
    """

    state: ServiceState
    adopted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """How a version's signature differs from the serving one's, ``""`` where nothing is known."""

    before: str
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CanaryRevision:
    """A revision that is ready and takes no traffic yet, beside the stable one, if any."""

    service: str
    revision: str
    image: ImageRef
    stable: str | None


@dataclass(frozen=True, slots=True)
class ProvenRevision:
    """A revision that answered where it runs, before any traffic reached it.

    ``answered`` is ``example``, or ``ready`` where no example is known; ``why`` says why not.
    """

    revision: CanaryRevision
    answered: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Analysis:
    """A canary that met every step of its plan, with what was seen at each.

    The last step's ``detail`` says who ended it well before that, if somebody did.
    """

    revision: CanaryRevision
    steps: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Served:
    """What a service serves at 100 % once a promotion has ended well."""

    service: str
    revision: str
    image: ImageRef
    url: str
