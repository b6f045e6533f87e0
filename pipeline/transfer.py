"""Moves what is in one repository to another: mounted on one host, streamed between hosts."""

from functools import partial

from pipeline.domain.content import Content
from pipeline.domain.oci import Descriptor
from pipeline.domain.serving import Blob
from pipeline.ports import ImageRegistry


def copy_blob(
    blob: Descriptor,
    source: str,
    repository: str,
    *,
    registry: ImageRegistry,
    sources: ImageRegistry | None = None,
) -> Blob:
    """Put a blob of ``source`` into ``repository``; its bytes move only where they must.

    ``sources`` is the registry that holds ``source``, where that is another one.
    """
    if there := registry.blob(repository, blob.digest):
        return there
    if sources is None and (mounted := registry.mount(repository, blob.digest, source)):
        return mounted
    read = partial((sources or registry).read_blob, source, blob.digest)
    return registry.push_blob(repository, Content(read, blob.size, blob.digest))
