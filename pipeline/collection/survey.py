"""What images are there, what needs them, and which may go."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from pipeline.domain.evidence import Refused
from pipeline.domain.plan import Plan
from pipeline.domain.policy import TrustPolicy
from pipeline.domain.promotion import Promotion
from pipeline.domain.references import Digest, ImageRef, ModelVersion, parse_version
from pipeline.domain.retention import Judged, Needs, ServiceRecord, StoredImage, judge, needs_of
from pipeline.domain.serving import ServiceState
from pipeline.errors import CorruptedError, InvalidReferenceError, LaurelError
from pipeline.image.manifest import Manifest, parse_manifest
from pipeline.image.version_key import repository_of
from pipeline.ledger import Ledger
from pipeline.ports import Clock, ImageRegistry, ServingTarget
from pipeline.trust.attachments import Attested, attestations
from pipeline.trust.keys import PublicKey
from pipeline.trust.statements import DEPLOYMENT, SLSA_PROVENANCE

Stored = Callable[[str], Mapping[Digest, datetime]]
"""Lists every manifest of a repository with its age, where a registry can tell."""

_VERSION_KEY = re.compile(r"laurel-[0-9a-f]{32}\Z")
_ATTACHED = "sha256-"  # tags of referrers and of cosign, which go with their image


class Survey:
    """Looks at the repositories of laurel.yaml's services, and at all that could need an image.

    Parameters
    ----------
    keep
        How many images each service may go back by.
    stored
        Also finds images that neither a tag nor the ledger names; a remote registry cannot tell.

    """

    def __init__(  # noqa: PLR0913 - one for each neighbour that is asked
        self,
        plans: Mapping[str, Plan],
        ledger: Ledger,
        *,
        target: ServingTarget,
        registry: ImageRegistry,
        policy: TrustPolicy,
        keep: int,
        clock: Clock,
        stored: Stored = lambda _repository: {},
    ) -> None:
        self._plans = plans
        self._ledger = ledger
        self._target = target
        self._registry = registry
        self._keys = [PublicKey.from_pem(pem) for pem in policy.keys]
        self._keep = keep
        self._clock = clock
        self._stored = stored

    def needs(self) -> Needs:
        """Read, now, what must stay."""
        records: list[ServiceRecord] = []
        unread: dict[str, str] = {}
        for name in sorted({*self._plans, *self._ledger.promotions.services()}):
            record, why = self._record(name)
            records.append(record)
            if why:
                unread |= dict.fromkeys(_repositories(record), why)
        needs = needs_of(records, self._keep)
        needs.unread.update(unread)
        return needs

    def judged(self) -> tuple[list[Judged], dict[str, str]]:
        """Judge every image; the second is why repositories, or parts of them, were left alone."""
        needs = self.needs()
        histories = self._histories()
        judged: list[Judged] = []
        for repository in sorted({repository_of(plan) for plan in self._plans.values()}):
            try:
                judged += list(self._judged(repository, needs, histories))  # all of it, or nothing
            except LaurelError as error:
                needs.unread.setdefault(repository, f"it cannot be read: {error}")
        return judged, needs.unread

    def still_goes(self, image: StoredImage) -> Judged:
        """Judge an image anew: somebody may have come to need it."""
        return judge(image, self.needs(), self._clock.now())

    def _record(self, name: str) -> tuple[ServiceRecord, str]:
        """Read all about a service, and why what it serves could not be."""
        last = self._ledger.states.get(name)
        states: list[ServiceState] = [] if last is None else [last[0]]
        why = ""
        try:
            states.append(self._target.observe(name))
        except LaurelError as error:
            why = f"what {name} serves cannot be read: {error}"
        record = ServiceRecord(
            name,
            self._ledger.promotions.of_service(name),
            tuple(states),
            self._ledger.holds.get(name),
            self._plans.get(name),
        )
        return record, why

    def _histories(self) -> list[Promotion]:
        names = self._ledger.promotions.services()
        return [each for name in names for each in self._ledger.promotions.of_service(name)]

    def _judged(
        self, repository: str, needs: Needs, histories: list[Promotion]
    ) -> Iterator[Judged]:
        stored, tagged = self._stored(repository), self._tagged(repository)
        recorded = _recorded(repository, histories)
        for digest in sorted({*stored, *tagged, *recorded}):
            content = self._registry.manifest(repository, digest.value)
            manifest = None if content is None else _manifest(content)
            if content is None or (manifest is not None and manifest.subject is not None):
                continue  # gone already; or no image, but what is attached to one
            ref = ImageRef(repository, digest)
            image = StoredImage(ref, None if manifest is None else _model(manifest))
            if image.model is not None and needs.why(ref, image.model) is None:
                known = [moment for moment in (stored.get(digest), recorded.get(digest)) if moment]
                image = self._examined(image, tagged.get(digest, []), known, histories)
            yield judge(image, needs, self._clock.now())

    def _tagged(self, repository: str) -> dict[Digest, list[str]]:
        tagged: dict[Digest, list[str]] = {}
        for tag in self._registry.tags(repository):
            if not tag.startswith(_ATTACHED):
                content = self._registry.manifest(repository, tag)
                if content is not None:
                    tagged.setdefault(Digest.of(content), []).append(tag)
        return tagged

    def _examined(
        self,
        image: StoredImage,
        tags: list[str],
        known: list[datetime],
        histories: list[Promotion],
    ) -> StoredImage:
        """Find out how old an image is, and whether anybody else may want it."""
        strange = [f"somebody tagged it {tag}" for tag in tags if not _VERSION_KEY.match(tag)]
        wanted = (SLSA_PROVENANCE, DEPLOYMENT)
        ours = {(each.service, each.sequence) for each in histories if _of(each, image.ref.digest)}
        elsewhere = self._attached_elsewhere(image.ref)
        for found in attestations(
            image.ref, registry=self._registry, keys=self._keys, wanted=wanted
        ):
            if isinstance(found, Refused):
                strange.append(f"one of its statements is not Laurel's: {found.reason}")
            elif found.statement.predicate_type == SLSA_PROVENANCE:
                known.extend(_finished(found.statement.predicate))
            elif found.statement.predicate_type == DEPLOYMENT and found.referrer not in elsewhere:
                strange.extend(_deployed_by_others(found, ours))
        since = max(known, default=None)
        return StoredImage(image.ref, image.model, since, strange[0] if strange else "")

    def _attached_elsewhere(self, image: ImageRef) -> set[Digest]:
        """List statements that came with a copy: they tell of services where it was copied from."""
        sources = {
            plan.copy_from
            for plan in self._plans.values()
            if plan.copy_from and repository_of(plan) == image.repository
        }
        return {
            each.digest
            for source in sources
            for each in self._registry.referrers(source, image.digest)
        }


def _repositories(record: ServiceRecord) -> set[str]:
    """Name every repository of which a service may serve an image."""
    images = [
        image
        for each in record.history
        for image in (each.image, each.target, each.previous_image)
        if image is not None
    ]
    images += [
        revision.image
        for state in record.states
        for revision in (state.stable, state.canary)
        if revision is not None
    ]
    named = {image.repository for image in images}
    return named | ({repository_of(record.plan)} if record.plan else set())


def _recorded(repository: str, histories: Iterable[Promotion]) -> dict[Digest, datetime]:
    """List a repository's images that the ledger knows, and when each was last promoted."""
    found: dict[Digest, datetime] = {}
    for each in histories:
        at = each.ended_at or each.created_at
        for image in (each.image, each.target, each.previous_image):
            if image is not None and image.repository == repository:
                found[image.digest] = max(at, found.get(image.digest, at))
    return found


def _of(promotion: Promotion, digest: Digest) -> bool:
    return promotion.image is not None and promotion.image.digest == digest


def _manifest(content: bytes) -> Manifest | None:
    with suppress(CorruptedError):
        return parse_manifest(content)
    return None


def _model(manifest: Manifest) -> ModelVersion | None:
    said = manifest.annotations
    with suppress(KeyError, InvalidReferenceError):
        return ModelVersion(
            said["dev.laurel.model.name"],
            parse_version(said["dev.laurel.model.version"]),
            said.get("dev.laurel.model.workspace", ""),
        )
    return None


def _finished(provenance: dict[str, Any]) -> Iterator[datetime]:
    """Read when an image was made, as its signed provenance says."""
    with suppress(KeyError, TypeError, ValueError):
        moment = datetime.fromisoformat(provenance["runDetails"]["metadata"]["finishedOn"])
        if moment.tzinfo is not None:
            yield moment


def _deployed_by_others(found: Attested, ours: set[tuple[str, int]]) -> Iterator[str]:
    said = found.statement.predicate
    service, sequence = said.get("service"), said.get("sequence")
    if (service, sequence) not in ours:
        yield f"deployed as {str(service)[:63]}/{str(sequence)[:20]}, which this ledger knows not"
