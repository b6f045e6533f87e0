"""What the registry is asked when an image is there already: requests are counted on their way."""

from pipeline.domain.oci import IMAGE_MANIFEST
from pipeline.domain.references import ImageRef
from pipeline.image.version_key import version_key
from pipeline.steps.recall import recall
from pipeline.transfer import copy_image
from tests.benchmarks.image_evidence import checked, plan_for, remote_registry
from tests.benchmarks.tables import Claim
from tests.servers.fault_proxy import FaultProxy, fault_proxy


def moves(image: str, base: str, uri: str, host: str) -> list[Claim]:
    """Promote the version of an image again, and take the image into another repository."""
    built = ImageRef.parse(image)
    _remember(built, base, uri, host)
    with fault_proxy(host) as proxy:
        asked = _recalled(proxy, built, base, uri)
    with fault_proxy(host) as proxy:
        moved = _copied(proxy, built)
    again = "same version again, up to and including `recall`: requests to the registry"
    other = "into another repository of the registry: bytes of blobs sent"
    return [
        Claim(again, str(asked), "-", "-", "1", asked == 1),
        Claim(other, str(moved), "-", "-", "0", moved == 0),
    ]


def _remember(built: ImageRef, base: str, uri: str, host: str) -> None:
    """Point the version key at the image, as is done once it was verified."""
    registry = remote_registry(host)
    content = registry.manifest(built.repository, built.digest.value)
    if content is None:
        raise RuntimeError(f"{built} is not in the registry")
    plan = plan_for(built.repository, base)
    key = version_key(checked(uri).resolved, plan)
    registry.push_manifest(built.repository, content, IMAGE_MANIFEST, tag=key)


def _recalled(proxy: FaultProxy, built: ImageRef, base: str, uri: str) -> int:
    plan = plan_for(_behind(proxy, built), base)
    found = recall(
        checked(uri), plan=plan, rebuild=False, registry=remote_registry(proxy.host), key_id="none"
    )
    if found is None or found.ref.digest != built.digest:
        raise RuntimeError(f"{built} was not recalled")
    return proxy.count()


def _copied(proxy: FaultProxy, built: ImageRef) -> int:
    registry, repository = remote_registry(proxy.host), f"{proxy.host}/bench/production"
    image = ImageRef(_behind(proxy, built), built.digest)
    copy_image(image, repository, registry=registry)
    if registry.manifest(repository, built.digest.value) is None:
        raise RuntimeError(f"{built} was not copied")
    return sum(request.body_length for request in proxy.heard(path="/blobs/"))


def _behind(proxy: FaultProxy, built: ImageRef) -> str:
    """Name the image's repository as the proxy's."""
    return f"{proxy.host}/{built.repository.partition('/')[2]}"
