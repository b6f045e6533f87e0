"""A history verified on the reader's side, and held against the signed deployment statements.

The chain alone cannot tell that its end was cut off, or that all of it was told anew. Statements
can: they are in the image registry, signed, and each has the head that the history had by then.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.domain.chain import BrokenAt, Entry, Head, beginning, contradiction, verify_chain
from pipeline.domain.references import Digest, ImageRef
from pipeline.errors import CorruptedError, InvalidReferenceError

if TYPE_CHECKING:
    from pipeline.ports import ImageRegistry
    from pipeline.settings import Settings
    from pipeline.trust.deployments import Stated

_VERSION_KEY = "laurel-"  # the tags of model versions' images


@dataclass(slots=True)
class Audit:
    """What was found out about a history; ``why`` says what is wrong with it, if anything is.

    ``hashes`` are those of its entries, ``images`` those that it names, and ``named`` the signed
    statements that it names and that nobody has shown yet.
    """

    service: str
    head: Head = field(init=False)
    why: str = ""
    hashes: list[str] = field(default_factory=list)
    images: set[ImageRef] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    statements: int | None = None

    def __post_init__(self) -> None:
        self.head = beginning(self.service)

    def to_json(self) -> dict[str, Any]:
        """Write the result for programs."""
        return {
            "service": self.service,
            "verified": not self.why,
            "head": None if self.why else {"number": self.head.number, "hash": self.head.hash},
            "statements": self.statements,
            "statements_missing": None if self.statements is None else len(self.named),
            "why": self.why or None,
        }


def read_on(audit: Audit, entries: Iterable[Entry]) -> None:
    """Recompute every hash of the entries that follow what was read before."""
    try:
        found = verify_chain(_noted(entries, audit), audit.service, audit.head)
    except CorruptedError as error:  # a line that somebody broke is an entry that does not verify
        audit.why = f"{error}; {len(audit.hashes)} entries before it hold"
        return
    if isinstance(found, BrokenAt):
        audit.why = found.why
    else:
        audit.head = found


def find_statements(audit: Audit, settings: "Settings", serving: Iterable[str]) -> list["Stated"]:
    """Find every deployment that was stated of a service, the first one first.

    Looked for on the images that its history names, on those that serve now, and on every tagged
    one beside them: whoever cut off the end of a history cut off what named the newest.
    """
    from pipeline import wiring
    from pipeline.trust.deployments import stated_deployments

    registry, policy = wiring.open_images(settings), wiring.trust_policy(settings)
    _note(audit, serving)
    found: list[Stated] = []
    for image in sorted(audit.images | _tagged(audit, settings, registry), key=str):
        found += stated_deployments(image, audit.service, registry=registry, policy=policy)
    return sorted(found, key=lambda stated: stated.deployment.sequence)


def compare(audit: Audit, found: Sequence["Stated"]) -> None:
    """Hold a history against the statements; it must have been read on since these were found."""
    audit.statements = len(found)
    audit.named -= {stated.referrer.value for stated in found}
    contradicted = (_contradicted(stated, audit) for stated in found)
    audit.why = audit.why or next(filter(None, contradicted), "")


def _noted(entries: Iterable[Entry], audit: Audit) -> Iterator[Entry]:
    for entry in entries:
        yield entry  # noted below only where it holds
        audit.hashes.append(entry.hash)
        said = entry.data
        _note(audit, [said.get(name) for name in ("image", "previous_image", "target")])
        if said.get("name") == "attest_deployment" and said.get("phase") == "succeeded":
            audit.named.add(str(said["evidence"]["value"]))


def _note(audit: Audit, images: Iterable[object]) -> None:
    for image in images:
        with suppress(InvalidReferenceError):
            if isinstance(image, str):
                audit.images.add(ImageRef.parse(image))


def _tagged(audit: Audit, settings: "Settings", registry: "ImageRegistry") -> set[ImageRef]:
    from pipeline.image.version_key import repository_of

    repositories = {image.repository for image in audit.images}
    plan = settings.plans().get(audit.service)
    if plan is not None:
        repositories.add(repository_of(plan))
    found = set()
    for repository in sorted(repositories):
        for tag in registry.tags(repository):
            content = registry.manifest(repository, tag) if tag.startswith(_VERSION_KEY) else None
            if content is not None:
                found.add(ImageRef(repository, Digest.of(content)))
    return found


def _contradicted(stated: "Stated", audit: Audit) -> str:
    said = stated.deployment
    if said.history is None:  # stated before histories were chained
        return ""
    why = contradiction(said.history, audit.hashes, audit.service)
    if not why:
        return ""
    return (
        f"deployment {said.sequence} was signed ({stated.referrer.short} on {stated.image})"
        f" when the history had {said.history.number} entries, and {why}"
    )
