"""Images copied between real registries: the same digest, every statement, and no byte too many."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.adapters.cosign_signer import KeyFileSigner
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.adapters.registries import Registries
from pipeline.collection.remove import remove_image
from pipeline.domain.content import Content
from pipeline.domain.evidence import CheckedModel, ResolvedModel
from pipeline.domain.oci import IMAGE_MANIFEST
from pipeline.domain.plan import Plan
from pipeline.domain.policy import TrustPolicy
from pipeline.domain.references import Digest, ImageRef
from pipeline.image.referrers import fallback_tag
from pipeline.image.version_key import version_key
from pipeline.ports import ImageRegistry
from pipeline.steps.recall import recall
from pipeline.steps.sign import sign
from pipeline.transfer import copy_image
from pipeline.trust.keys import PrivateKey
from pipeline.trust.verifier import examine
from tests.fakes.baked_image import MODEL, bake
from tests.fakes.clock import FakeClock
from tests.servers.fault_proxy import fault_proxy
from tests.servers.registries import Registry
from tests.servers.registry_client import client_of

pytestmark = pytest.mark.xdist_group("registries")
SIGNER = KeyFileSigner(PrivateKey.generate())
POLICY = TrustPolicy((SIGNER.public_key_pem,), "https://laurel.dev/b", "http://mlflow")
KINDS = ("layout", "plain", "token", "tls", "ociserver", "odd")


@dataclass(frozen=True)
class End:
    """A registry, and a repository in it that no other test uses."""

    registry: ImageRegistry
    repository: str


def signed(end: End) -> ImageRef:
    layers = (b"base", b"environment", secrets.token_bytes(300_000))
    smoked = bake(end.registry, repository=end.repository, layers=layers)
    sign(
        smoked,
        registry=end.registry,
        signer=SIGNER,
        policy=POLICY,
        clock=FakeClock(),
        promotion_id="p-1",
    )
    return smoked.built.ref


def statements(end: End, image: Digest) -> set[Digest]:
    return {each.digest for each in end.registry.referrers(end.repository, image)}


def server_of(kind: str, request: pytest.FixtureRequest) -> Registry:
    found: Registry = request.getfixturevalue(kind if kind == "ociserver" else f"{kind}_registry")
    return found


def opened(kind: str, folder: Path, request: pytest.FixtureRequest, stack: ExitStack) -> End:
    folder.mkdir()
    if kind == "layout":
        return End(LayoutRegistry(folder / "images"), "ml/fraud")
    server = server_of(kind, request)
    client = stack.enter_context(client_of(server, folder))
    return End(client, f"{server.host}/{secrets.token_hex(6)}/fraud")


@pytest.fixture(params=KINDS)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[End]:
    with ExitStack() as stack:
        yield opened(request.param, tmp_path / "source", request, stack)


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[End]:
    with ExitStack() as stack:
        yield opened(request.param, tmp_path / "target", request, stack)


def test_an_image_keeps_digest_and_statements_between_any_two_registries(
    source: End, target: End
) -> None:
    image = signed(source)
    for _ in range(2):
        copy_image(image, target.repository, registry=target.registry, sources=source.registry)
    content = target.registry.manifest(target.repository, image.digest.value)
    assert content == source.registry.manifest(source.repository, image.digest.value)
    assert statements(target, image.digest) == statements(source, image.digest)
    copied = ImageRef(target.repository, image.digest)
    examination = examine(
        copied, registry=target.registry, policy=POLICY, copy_from=(source.repository,)
    )
    assert examination.trusted is not None, examination.refusal().reason
    listed = [tag for tag in target.registry.tags(target.repository) if "sha256-" not in tag]
    assert listed == []


@pytest.mark.parametrize("kind", ["plain", "token", "ociserver"])  # odd keeps one store for all
def test_into_another_repository_of_one_registry_no_bytes_of_a_blob_move(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = server_of(kind, request)
    with fault_proxy(server.host) as proxy, client_of(server, tmp_path, host=proxy.host) as client:
        source = End(client, f"{proxy.host}/{secrets.token_hex(6)}/fraud")
        target = End(client, f"{proxy.host}/{secrets.token_hex(6)}/fraud")
        image = signed(source)
        before = len(proxy.heard())
        copy_image(image, target.repository, registry=client)
        during = proxy.heard()[before:]
        assert statements(target, image.digest) == statements(source, image.digest)
    blobs = [each for each in during if "/blobs/" in each.path]
    moved = [each.path for each in blobs if each.method in {"PATCH", "PUT", "GET"}]
    assert moved == []
    mounts = [each.path for each in blobs if each.method == "POST"]
    assert len(mounts) >= 6  # three layers, the configuration, and what the statements carry
    assert all("mount=" in path for path in mounts)


def test_a_layout_and_a_registry_are_one_to_those_who_copy(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = server_of("plain", request)
    with client_of(server, tmp_path) as client:
        both = Registries(LayoutRegistry(tmp_path / "images"), client)
        here, there = "ml/fraud", f"{server.host}/{secrets.token_hex(6)}/fraud"
        image = signed(End(both, here))
        assert both.mount(there, Digest.of(b"base"), here) is None  # its bytes have to move
        copied = copy_image(image, there, registry=both)
        assert client.manifest(there, image.digest.value) is not None
        back = copy_image(copied, "back/fraud", registry=both)
        assert statements(End(both, "back/fraud"), back.digest) == statements(
            End(both, here), image.digest
        )
        assert both.mount("other/fraud", Digest.of(b"base"), "back/fraud") is not None
        assert b"".join(both.read_blob(there, Digest.of(b"base"))) == b"base"
        (tmp_path / "file").write_bytes(b"a file")
        for repository in (here, there):
            both.push_blob(repository, Content.of(b"content"))
            pushed = both.push_file(repository, tmp_path / "file", Digest.of(b"a file"))
            assert both.blob(repository, pushed.digest) == pushed
            both.delete(repository, image.digest)
            assert both.manifest(repository, image.digest.value) is None
            assert "one" not in both.tags(repository)


def test_an_image_is_removed_from_any_registry_with_all_that_belongs_to_it(source: End) -> None:
    registry, repository = source.registry, source.repository
    gone, kept = signed(source), signed(source)
    for image, tag in ((gone, "laurel-gone"), (kept, "laurel-kept")):
        content = registry.manifest(repository, image.digest.value)
        assert content is not None
        registry.push_manifest(repository, content, IMAGE_MANIFEST, tag=tag)
    signature, provenance = statements(source, gone.digest)
    mine = statements(source, kept.digest)
    for _ in range(2):
        remove_image(gone, registry=registry)
    for digest in (gone.digest, signature, provenance):
        assert registry.manifest(repository, digest.value) is None
    assert not {"laurel-gone", fallback_tag(gone.digest)} & set(registry.tags(repository))
    assert registry.manifest(repository, "laurel-kept") is not None
    assert statements(source, kept.digest) == mine
    assert examine(kept, registry=registry, policy=POLICY).trusted is not None


@pytest.mark.parametrize("kind", ["plain", "ociserver", "odd"])
def test_the_same_version_again_is_one_request_to_a_registry(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = server_of(kind, request)
    with fault_proxy(server.host) as proxy, client_of(server, tmp_path, host=proxy.host) as client:
        plan = Plan("fraud", MODEL.name, repository=f"{proxy.host}/{secrets.token_hex(6)}/fraud")
        resolved = ResolvedModel(MODEL, "champion", "r", "m", "models:/m", "/a", {})
        image = signed(End(client, plan.repository))
        content = client.manifest(plan.repository, image.digest.value)
        assert content is not None
        key = version_key(resolved, plan)
        client.push_manifest(plan.repository, content, IMAGE_MANIFEST, tag=key)
        before = proxy.count()
        checked = CheckedModel(resolved, ())
        found = recall(checked, plan=plan, rebuild=False, registry=client, key_id="k")
        assert proxy.count() == before + 1
    assert found is not None
    assert found.ref == image
