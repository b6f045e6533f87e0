"""The strict verifier: everything about one image read back, by digest, and believed by no hint.

Stricter than ``cosign verify``, which takes any statement by the key for a signature, a statement
about several images for one about each, and an image copied to another repository for the original.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from pipeline.domain.evidence import Refused
from pipeline.domain.policy import TrustPolicy
from pipeline.domain.references import ImageRef, ModelVersion
from pipeline.ports import ImageRegistry
from pipeline.trust.attachments import Attested, attestations
from pipeline.trust.byproducts import SmokeRequest
from pipeline.trust.contents import Labels, missing_blob, read_labels
from pipeline.trust.fetch import fetch_manifest
from pipeline.trust.keys import PublicKey
from pipeline.trust.provenance import read_provenance
from pipeline.trust.statements import COSIGN_SIGN, SLSA_PROVENANCE, Statement

_WANTED = {COSIGN_SIGN: "signature", SLSA_PROVENANCE: "provenance"}
_NONE = Refused("no key of the trust policy signed one that fits")
_SHOWN = 10  # passed-over referrers whose reasons are told


@dataclass(frozen=True, slots=True)
class Finding:
    """One requirement of the trust policy, whether the image meets it, and why: one table row."""

    requirement: str
    met: bool
    why: str

    @property
    def verdict(self) -> str:
        """``pass`` or ``fail``."""
        return "pass" if self.met else "fail"


@dataclass(frozen=True, slots=True)
class Trusted:
    """What the verifier vouches for: the image's labels, its signature and its provenance.

    ``request`` is what the image answered when it was smoked, as the provenance keeps it.
    """

    labels: Labels
    signature: Attested
    provenance: Attested
    request: SmokeRequest | None


@dataclass(frozen=True, slots=True)
class Examination:
    """Every requirement looked at, and what may be believed where all of them are met.

    ``findings`` is a table for people; a requirement behind one that makes it unanswerable (no
    manifest, no labels) is left out. ``passed_over`` says why attached statements did not count.
    """

    image: ImageRef
    findings: tuple[Finding, ...]
    passed_over: tuple[str, ...] = ()
    trusted: Trusted | None = None

    def refusal(self) -> Refused:
        """Say in one sentence which requirements are unmet, with every finding as evidence."""
        unmet = "; ".join(f"{f.requirement}: {f.why}" for f in self.findings if not f.met)
        over = f" (passed over: {'; '.join(self.passed_over)})" if self.passed_over else ""
        return Refused(
            f"{self.image} is not to be trusted: {unmet}{over}; "
            "promote its version with --rebuild to have it made and signed anew",
            {
                "findings": [
                    {"requirement": f.requirement, "verdict": f.verdict, "why": f.why}
                    for f in self.findings
                ],
                "passed_over": list(self.passed_over),
            },
        )


def examine(
    image: ImageRef,
    *,
    registry: ImageRegistry,
    policy: TrustPolicy,
    model: ModelVersion | None = None,
    copy_from: Sequence[str] = (),
) -> Examination:
    """Hold an image in its registry against the trust policy.

    Parameters
    ----------
    image
        By digest; whatever a tag says is not asked.
    registry
        The only neighbour that is asked: no transparency log, no key server, no trust root.
    policy
        Whose signature counts, and what provenance has to say.
    model
        The model version that the image must hold; ``None``: the one that it names itself, which
        signature and provenance must still agree on.
    copy_from
        Repositories that its provenance may name beside its own: those that images may be copied
        from into this one.

    Raises
    ------
    ConfigurationError
        When the policy's keys are not P-256 public keys.
    StepError
        When the registry does not answer or denies access. Whatever it answers is never fatal.

    """
    keys = [PublicKey.from_pem(pem) for pem in policy.keys]
    manifest = fetch_manifest(registry, image.repository, image.digest)
    if isinstance(manifest, Refused):
        return Examination(image, (Finding("manifest", met=False, why=manifest.reason),))
    missing = missing_blob(manifest, registry=registry, repository=image.repository)
    labels = read_labels(manifest, registry=registry, repository=image.repository)
    findings = [
        Finding("manifest", met=True, why="its bytes have the image's digest"),
        _finding("layers", missing, f"{len(manifest.layers)} in the sizes the manifest names"),
        _finding("labels", _other_model(labels, model), "they name the model version"),
    ]
    if isinstance(labels, Refused):
        return Examination(image, tuple(findings))
    attached = attestations(image, registry=registry, keys=keys, wanted=tuple(_WANTED))
    found, passed_over = _choose(attached, _wanted(image, labels, policy, copy_from))
    findings += [
        _finding(requirement, None if kind in found else _NONE, _by(found.get(kind)))
        for kind, requirement in _WANTED.items()
    ]
    if not all(finding.met for finding in findings):
        return Examination(image, tuple(findings), passed_over)
    signature, provenance = found[COSIGN_SIGN], found[SLSA_PROVENANCE]
    trusted = Trusted(labels, signature, provenance, _request(provenance.statement))
    return Examination(image, tuple(findings), passed_over, trusted)


def _finding(requirement: str, refused: Refused | None, why: str) -> Finding:
    return Finding(requirement, refused is None, refused.reason if refused else why)


def _by(found: Attested | None) -> str:
    return f"by key {found.key_id[:12]} in {found.referrer.short}" if found else ""


def _other_model(labels: Labels | Refused, model: ModelVersion | None) -> Refused | None:
    if isinstance(labels, Refused):
        return labels
    named = ModelVersion(labels.model, labels.version, labels.workspace)
    if model is None or model == named:
        return None
    return Refused(f"they name {_told(named)}, wanted is {_told(model)}")


def _told(model: ModelVersion) -> str:
    return f"{model} of workspace {model.workspace}" if model.workspace else str(model)


def _wanted(
    image: ImageRef, labels: Labels, policy: TrustPolicy, copy_from: Sequence[str]
) -> dict[str, tuple[object, ...]]:
    """List the fields of provenance with the values that each may have."""
    wanted: dict[str, tuple[object, ...]] = {
        f.name: (getattr(labels, f.name),) for f in fields(labels)
    }
    wanted["registry_url"] = (policy.registry_url,)
    wanted["builder_id"] = (policy.builder_id,)
    wanted["repository"] = (image.repository, *copy_from)
    return wanted


def _choose(
    attached: Iterable[Attested | Refused], wanted: dict[str, tuple[object, ...]]
) -> tuple[dict[str, Attested], tuple[str, ...]]:
    """Take the first statement that fits of each kind, and note why others were passed over."""
    found: dict[str, Attested] = {}
    over: list[str] = []
    for entry in attached:
        reason = entry.reason if isinstance(entry, Refused) else _unfit(entry.statement, wanted)
        if isinstance(entry, Refused) or reason:
            over.append(reason)
        else:
            found.setdefault(entry.statement.predicate_type, entry)
        if len(found) == len(_WANTED):
            break
    told = over[:_SHOWN] + ([f"and {len(over) - _SHOWN} more"] if len(over) > _SHOWN else [])
    return found, tuple(told)


def _request(provenance: Statement) -> SmokeRequest | None:
    said = read_provenance(provenance.predicate)
    return None if isinstance(said, Refused) else said.request


def _unfit(statement: Statement, wanted: dict[str, tuple[object, ...]]) -> str:
    """Say why a statement by a trusted key is not one that is wanted; empty where it is."""
    if statement.predicate_type == COSIGN_SIGN:
        return ""
    if statement.predicate_type != SLSA_PROVENANCE:
        return f"it states {statement.predicate_type}"
    said = read_provenance(statement.predicate)
    if isinstance(said, Refused):
        return said.reason
    return ", ".join(
        f"its {name} is {getattr(said, name)}, wanted is {' or '.join(map(str, values))}"
        for name, values in wanted.items()
        if getattr(said, name) not in values
    )
