"""Lists that a registry gives page by page (distribution-spec, "listing tags" and "referrers")."""

import re
from collections.abc import Collection, Iterator
from functools import partial
from urllib.parse import urljoin, urlsplit

from pipeline.distribution.answers import bounded, rejected, succeeded
from pipeline.distribution.repository import Repository
from pipeline.errors import CorruptedError

_NEXT = re.compile(r"""<([^<>]*)>\s*;[^,<]*\brel\s*=\s*"?next\b""", re.IGNORECASE)
LARGEST_PAGE = 8 << 20
_MOST_PAGES = 1000

Page = tuple[bytes, str]
"""A page, and where the next one is; ``""``: it is the last."""


def pages(
    repository: Repository,
    target: str,
    attempted: str,
    *,
    absent: Collection[int],
    media_type: str = "",
) -> Iterator[bytes]:
    """Read a list page by page; there is none where the registry does not keep such a list.

    It says so by a status of ``absent``, or by an answer of another ``media_type``.
    """
    patience = repository.patience()
    place, refused = f"/v2/{repository.place.path}/{target}", absent
    for _ in range(_MOST_PAGES):
        read = partial(_page, repository, place, attempted, refused, media_type)
        page = patience.repeat(read)
        if page is None:
            return
        content, place = page
        yield content
        if not place:
            return
        refused = ()
    raise CorruptedError(
        attempted, str(repository), f"the registry's list has more than {_MOST_PAGES} pages"
    )


def _page(
    repository: Repository,
    place: str,
    attempted: str,
    absent: Collection[int],
    media_type: str,
) -> Page | None:
    headers = {"Accept": media_type or "application/json"}
    with repository.call("GET", place, attempted, headers=headers) as answer:
        if answer.status in absent:
            return None
        if not succeeded(answer):
            raise rejected(answer, attempted, str(repository))
        if not answer.headers.get("Content-Type", "").startswith(media_type):
            return None
        content = bounded(answer, LARGEST_PAGE, attempted, str(repository))
        try:
            return content, _next(place, answer.headers.get("Link", ""))
        except ValueError:  # brackets without an address between them; the text may hold a secret
            hint = "the registry's list goes on at what is no URL: ask its owner"
            raise CorruptedError(attempted, str(repository), hint) from None


def _next(place: str, link: str) -> str:
    """Follow a link as far as its path: whatever host it names, this registry is asked."""
    found = _NEXT.search(link)
    if not found:
        return ""
    parts = urlsplit(urljoin(place, found[1]))
    return f"{parts.path}{'?' if parts.query else ''}{parts.query}"
