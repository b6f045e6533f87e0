"""Read from a registry without believing it: bounded, and hashed again here."""

from pipeline.domain.evidence import Refused
from pipeline.domain.oci import Descriptor
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError, NotFoundError
from pipeline.image.manifest import Manifest, parse_manifest
from pipeline.ports import ImageRegistry
from pipeline.trust.shapes import MAX_DOCUMENT


def fetch_manifest(registry: ImageRegistry, repository: str, digest: Digest) -> Manifest | Refused:
    """Read an image manifest by digest."""
    try:
        content = registry.manifest(repository, digest.value)
        if content is None:
            return Refused(f"there is no manifest {digest} in {repository}")
        return _other_bytes(content, digest) or parse_manifest(content)
    except CorruptedError as error:
        return Refused(str(error))


def fetch_blob(registry: ImageRegistry, repository: str, blob: Descriptor) -> bytes | Refused:
    """Read a blob of the size that its descriptor names, and not a chunk more."""
    if blob.size > MAX_DOCUMENT:
        return Refused(f"{blob.digest} has {blob.size} bytes, more than {MAX_DOCUMENT}")
    content = bytearray()
    try:
        for chunk in registry.read_blob(repository, blob.digest):
            content += chunk
            if len(content) > blob.size:
                break
    except (CorruptedError, NotFoundError) as error:
        return Refused(str(error))
    return _other_bytes(content, blob.digest) or bytes(content)


def _other_bytes(content: bytes | bytearray, digest: Digest) -> Refused | None:
    if Digest.of(bytes(content)) == digest:
        return None
    return Refused(f"the registry gave other bytes for {digest}: its store is damaged, or it lies")
