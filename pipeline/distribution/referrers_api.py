"""What refers to an image: the registry's own list, or an index that we keep under a tag.

The distribution-spec's two ways ("listing referrers", "unavailable referrers API").
"""

import threading
from contextlib import suppress

from pipeline.distribution import manifests
from pipeline.distribution.answers import RejectedError
from pipeline.distribution.listing import LARGEST_PAGE, pages
from pipeline.distribution.repository import Repository
from pipeline.domain.oci import IMAGE_INDEX, IMAGE_MANIFEST, Descriptor
from pipeline.domain.references import Digest
from pipeline.errors import ConflictError, CorruptedError
from pipeline.image.referrers import (
    as_referrer,
    fallback_tag,
    parse_referrers,
    with_referrer,
    without_referrer,
)

_ABSENT = frozenset({400, 404, 405, 406})  # what registries without such a list answer
_MOST = 1000
_ATTEMPTS = 5
_LOCKS = tuple(threading.Lock() for _ in range(64))  # more than there are images at work at once


def referrers(repository: Repository, subject: Digest) -> tuple[Descriptor, ...]:
    """List what refers to an image; an entry that cannot be read is left out."""
    listed = _by_registry(repository, subject)
    if listed is None:
        listed = parse_referrers(manifests.get(repository, fallback_tag(subject)))
    return listed[:_MOST]


def list_referrer(repository: Repository, subject: Digest, listed: Descriptor) -> None:
    """See to it that a manifest that was pushed is listed.

    Raises
    ------
    ConflictError
        Where other writers take it out of the index each time. Registries cannot compare and swap:
        of two processes one may undo the other a moment later, so whoever needs it listed looks.

    """
    if _by_registry(repository, subject) is not None:
        return
    tag = fallback_tag(subject)
    with _alone(repository, subject):
        for _ in range(_ATTEMPTS):
            before = manifests.get(repository, tag)
            if listed in parse_referrers(before):
                return
            try:
                manifests.put(repository, with_referrer(before, listed), IMAGE_INDEX, tag)
            except RejectedError:
                sound = _without_lost(repository, before)
                if sound == before:
                    raise
                manifests.put(repository, with_referrer(sound, listed), IMAGE_INDEX, tag)
    raise ConflictError(
        "list a referrer",
        f"{repository}@{subject}",
        "other writers keep replacing its list of referrers",
    )


def unlist_referrer(repository: Repository, referrer: Digest) -> None:
    """Take a manifest out of the index under its image's tag, where there is one.

    An index that has nothing else in it goes as a whole.
    """
    content = manifests.get(repository, referrer.value)
    about = None
    if content is not None:
        with suppress(CorruptedError):  # something else than an image's manifest is about none
            about = as_referrer(content, IMAGE_MANIFEST)
    if about is None:
        return
    tag = fallback_tag(about[0])
    with _alone(repository, about[0]):
        before = manifests.get(repository, tag)
        after = before and without_referrer(before, referrer)
        if before and after and parse_referrers(after):
            manifests.put(repository, after, IMAGE_INDEX, tag)
        elif before and after:
            manifests.delete(repository, Digest.of(before).value)


def _alone(repository: Repository, subject: Digest) -> threading.Lock:
    """Keep our own threads from being each other's other writers."""
    return _LOCKS[hash((repository.place, subject)) % len(_LOCKS)]


def _without_lost(repository: Repository, index: bytes | None) -> bytes | None:
    """Leave out what was deleted and is still listed: distribution then refuses the whole list."""
    for listed in parse_referrers(index):
        if manifests.get(repository, listed.digest.value) is None:
            index = without_referrer(index, listed.digest)
    return index


def _by_registry(repository: Repository, subject: Digest) -> tuple[Descriptor, ...] | None:
    """Ask the registry; ``None`` where it keeps no such list."""
    found: list[Descriptor] | None = None
    listing = pages(
        repository,
        f"referrers/{subject}",
        "list referrers",
        absent=_ABSENT,
        media_type=IMAGE_INDEX,
    )
    for page in listing:
        found = [*(found or ()), *parse_referrers(page, LARGEST_PAGE)]
        if len(found) >= _MOST:
            break
    return None if found is None else tuple(found)
