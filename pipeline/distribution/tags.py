"""A repository's tags, and those that outlive what they named."""

from pipeline.distribution.listing import LARGEST_PAGE, pages
from pipeline.distribution.manifests import delete, get, is_tag
from pipeline.distribution.repository import Repository
from pipeline.domain.references import Digest
from pipeline.image.canonical import read_object

_LIST = "list tags"


def every(repository: Repository) -> tuple[str, ...]:
    """List all tags, sorted; a repository that was never pushed to has none."""
    found: set[str] = set()
    for page in pages(repository, "tags/list", _LIST, absent={404}):
        listed = read_object(page, "a list of tags", LARGEST_PAGE).get("tags")
        if isinstance(listed, list):
            found |= {tag for tag in listed if isinstance(tag, str) and is_tag(tag)}
    return tuple(sorted(found))


def delete_with_tags(repository: Repository, digest: Digest) -> bool:
    """Remove a manifest and every tag of it; tell whether the registry took those away by itself.

    Most do, as the specification wants; others have to be asked where each tag leads.
    """
    before = every(repository)
    delete(repository, digest.value)
    left = every(repository)
    for tag in left if left == before else ():
        content = get(repository, tag)
        if content is None or Digest.of(content) == digest:
            delete(repository, tag)
    return left != before
