"""Images that stand on other people's: which of them, with which Python, from where."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.adapters.bases import Bases
from pipeline.adapters.image_base import ImageBase
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.domain.content import Content
from pipeline.domain.evidence import Refused
from pipeline.domain.oci import IMAGE_CONFIG, LAYER, LAYER_GZIP, Base
from pipeline.domain.references import Digest
from pipeline.domain.serving import Blob
from pipeline.errors import CorruptedError, NotFoundError
from pipeline.ports import ImageRegistry
from tests.fakes.foreign_image import ForeignImage, push_index
from tests.fakes.image_registry import InMemoryRegistry
from tests.fakes.tars import executables

HUB = "docker.io/library/python"
TREE = (
    executables({"usr/bin/python3.11": b"11", "usr/bin/python3.9": b"9"}),
    executables({"etc/more": b"more"}),
)
AMD = ForeignImage(TREE)
ARM = ForeignImage((executables({"usr/bin/python3.11": b"arm"}),), "linux/arm64/v8")


class Deaf(InMemoryRegistry):
    """A registry that nobody may ask for anything."""

    def manifest(self, repository: str, reference: str) -> bytes | None:
        raise AssertionError(f"{repository}@{reference} was asked for")

    def read_blob(self, repository: str, digest: Digest) -> Iterator[bytes]:
        raise AssertionError(f"{repository}@{digest} was asked for")


@pytest.fixture
def hub() -> InMemoryRegistry:
    return InMemoryRegistry()


@pytest.fixture
def ours() -> InMemoryRegistry:
    return InMemoryRegistry()


def provided(
    cache: Path,
    base: str,
    ours: ImageRegistry,
    elsewhere: ImageRegistry | None,
    *,
    platform: str = "linux/amd64",
    python_version: str = "3.11",
) -> Base | Refused:
    return ImageBase(cache, elsewhere).provide(
        base, "ml/fraud", platform=platform, python_version=python_version, registry=ours
    )


def accepted(cache: Path, base: str, ours: ImageRegistry, elsewhere: ImageRegistry | None) -> Base:
    answer = provided(cache, base, ours, elsewhere)
    assert isinstance(answer, Base), answer
    return answer


@pytest.mark.parametrize("docker", [False, True], ids=["OCI", "Docker"])
@pytest.mark.parametrize("index", [False, True], ids=["image", "index"])
def test_its_layers_come_as_they_are_and_its_digest_is_the_one_written(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry, *, docker: bool, index: bool
) -> None:
    amd = replace(AMD, docker=docker)
    digest = push_index(hub, HUB, ARM, amd) if index else amd.push(hub, HUB)
    base = accepted(tmp_path, f"python:3.11-slim@{digest}", ours, hub)
    assert base.digest == digest
    assert base.python == "/usr/bin/python3.11"
    assert [layer.diff_id for layer in base.layers] == [Digest.of(layer) for layer in TREE]
    for layer in base.layers:
        assert layer.descriptor.media_type == LAYER_GZIP
        there = ours.blobs["ml/fraud", layer.descriptor.digest]
        assert there == hub.blobs[HUB, layer.descriptor.digest]
        assert len(there) == layer.descriptor.size
    assert {repository for repository, _ in ours.blobs} == {"ml/fraud"}
    assert not ours.manifests


def test_its_variables_are_taken_over_but_for_those_of_others(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry
) -> None:
    said = {"LANG": "C", "LD_LIBRARY_PATH": "/opt/lib", "PATH": "/usr/bin"}
    others = {"PORT": "1", "K_SERVICE": "x", "LAUREL_LISTEN_FD": "9"}
    digest = replace(AMD, env={**said, **others}).push(hub, HUB)
    assert accepted(tmp_path, f"python@{digest}", ours, hub).env == said


def test_without_a_path_programs_are_where_engines_look_for_them(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry
) -> None:
    digest = replace(AMD, env={}).push(hub, HUB)
    base = accepted(tmp_path, f"python@{digest}", ours, hub)
    assert base.env == {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


@pytest.mark.parametrize("index", [False, True], ids=["image", "index"])
def test_another_platform_is_refused_before_anything_is_pushed(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry, *, index: bool
) -> None:
    digest = push_index(hub, HUB, ARM, AMD) if index else AMD.push(hub, HUB)
    answer = provided(tmp_path, f"python@{digest}", ours, hub, platform="linux/s390x")
    there = "linux/amd64, linux/arm64" if index else "linux/amd64"
    assert isinstance(answer, Refused)
    assert answer.reason == (
        f"base python@{digest} has no image for linux/s390x, it has {there}: "
        "choose another base or another platform:"
    )
    assert not ours.blobs


def test_an_index_of_no_platforms_says_so(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry
) -> None:
    digest = push_index(hub, HUB, replace(AMD, platform="unknown/unknown"))
    answer = provided(tmp_path, f"python@{digest}", ours, hub)
    assert isinstance(answer, Refused)
    assert "it names none" in answer.reason


def test_an_index_is_not_believed_about_the_platform_of_an_image(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry
) -> None:
    digest = push_index(hub, HUB, AMD)
    lying = hub.manifests[HUB, digest].replace(b"amd64", b"s390x")
    other = hub.push_manifest(HUB, lying, "")
    answer = provided(tmp_path, f"python@{other}", ours, hub, platform="linux/s390x")
    assert isinstance(answer, Refused)
    assert "it has linux/amd64" in answer.reason


def test_without_the_model_s_python_those_that_are_there_are_named(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry
) -> None:
    digest = AMD.push(hub, HUB)
    for _ in range(2):  # read, and remembered
        answer = provided(tmp_path, f"python@{digest}", ours, hub, python_version="3.12")
        assert answer == Refused(
            f"base python@{digest} has no python3.12 on its PATH, it has 3.11, 3.9: "
            "choose a base with Python 3.12",
            {"pythons": ["3.11", "3.9"]},
        )


def test_without_any_python_that_is_said(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry
) -> None:
    digest = replace(AMD, layers=(executables({"bin/sh": b""}),)).push(hub, HUB)
    answer = provided(tmp_path, f"python@{digest}", ours, hub)
    assert isinstance(answer, Refused)
    assert "no python3.11 on its PATH, it has none" in answer.reason


@pytest.mark.parametrize(
    "kind",
    [
        LAYER + "+zstd",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ],
)
def test_layers_that_not_everybody_can_read_or_copy_are_refused(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry, kind: str
) -> None:
    digest = replace(AMD, layer_type=kind).push(hub, HUB)
    answer = provided(tmp_path, f"python@{digest}", ours, hub)
    assert isinstance(answer, Refused)
    assert f"has a layer of type {kind!r}" in answer.reason
    assert not ours.blobs


def test_an_artifact_that_is_no_image_is_refused(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry
) -> None:
    content = hub.manifests[HUB, AMD.push(hub, HUB)]
    chart = content.replace(IMAGE_CONFIG.encode(), b"application/vnd.cncf.helm.config.v1+json")
    answer = provided(tmp_path, f"python@{hub.push_manifest(HUB, chart, '')}", ours, hub)
    assert isinstance(answer, Refused)
    assert "is no image, its configuration is 'application/vnd.cncf.helm" in answer.reason


def test_a_digest_that_is_not_there_is_told(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry
) -> None:
    with pytest.raises(NotFoundError, match=f"{HUB} has no sha256:"):
        provided(tmp_path, f"python@{Digest.of(b'gone')}", ours, hub)


def test_an_index_that_lists_an_index_as_an_image_is_corrupted(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry
) -> None:
    image, index = AMD.push(hub, HUB), push_index(hub, HUB, AMD)
    nested = hub.manifests[HUB, index].replace(image.value.encode(), index.value.encode())
    with pytest.raises(CorruptedError, match="names an index as an image"):
        provided(tmp_path, f"python@{hub.push_manifest(HUB, nested, '')}", ours, hub)


def test_an_endless_configuration_is_read_no_further_than_any_may_be_long(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry
) -> None:
    class Endless(InMemoryRegistry):
        def read_blob(self, repository: str, digest: Digest) -> Iterator[bytes]:
            while self.blob(repository, digest) is None:
                yield bytes(1 << 20)

    endless = Endless()
    endless.manifests = hub.manifests
    digest = AMD.push(hub, HUB)
    with pytest.raises(CorruptedError, match="larger than 4 MiB"):
        provided(tmp_path, f"python@{digest}", ours, endless)


def test_a_layer_of_other_bytes_than_its_diffid_is_no_base(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry
) -> None:
    digest = AMD.push(hub, HUB)
    content = hub.manifests[HUB, digest]
    [config] = [key for key in hub.blobs if hub.blobs[key].startswith(b"{")]
    said = hub.blobs[config].replace(Digest.of(TREE[0]).value.encode(), b"sha256:" + b"0" * 64)
    other = hub.push_blob(HUB, Content.of(said))
    lying = content.replace(config[1].value.encode(), other.digest.value.encode())
    with pytest.raises(CorruptedError, match="not those of this diffID"):
        provided(tmp_path, f"python@{hub.push_manifest(HUB, lying, '')}", ours, hub)


def test_a_base_that_was_read_before_is_not_asked_for_again(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry
) -> None:
    base = f"docker.io/library/python@{AMD.push(hub, HUB)}"
    first = accepted(tmp_path, base, ours, hub)
    deaf = Deaf()
    deaf.blobs = ours.blobs
    assert accepted(tmp_path, base, deaf, None) == first


@pytest.mark.parametrize("bad", [b"", b"[]", b'{"layers": 3}', b"\xff", None])
def test_what_was_lost_of_the_memory_is_read_again(
    tmp_path: Path, hub: InMemoryRegistry, ours: InMemoryRegistry, bad: bytes | None
) -> None:
    base = f"python@{AMD.push(hub, HUB)}"
    first = accepted(tmp_path, base, ours, hub)
    [kept] = tmp_path.iterdir()
    good = kept.read_bytes()
    kept.unlink() if bad is None else kept.write_bytes(bad)
    assert accepted(tmp_path, base, ours, hub) == first
    assert kept.read_bytes() == good


def test_a_base_that_the_layout_has_by_this_name_is_taken_from_there(
    tmp_path: Path,
) -> None:
    layout = LayoutRegistry(tmp_path / "images")
    digest = push_index(layout, "bases/python", ARM, AMD)
    base = accepted(tmp_path / "cache", f"bases/python:3@{digest}", layout, Deaf())
    assert base.python == "/usr/bin/python3.11"


def test_a_base_on_the_images_own_registry_moves_no_bytes(tmp_path: Path) -> None:
    registry = InMemoryRegistry()
    digest = AMD.push(registry, "r.example.com/bases/python")
    mounted: list[str] = []

    class Mounting(InMemoryRegistry):
        def mount(self, repository: str, digest: Digest, source: str) -> Blob | None:
            mounted.append(source)
            return super().mount(repository, digest, source)

    ours = Mounting()
    ours.blobs, ours.manifests = registry.blobs, registry.manifests
    accepted(tmp_path, f"r.example.com/bases/python@{digest}", ours, None)
    assert mounted == ["r.example.com/bases/python"] * 2


def test_host_is_this_host_and_everything_else_an_image(tmp_path: Path) -> None:
    asked: list[str] = []

    class Noting:
        def __init__(self, name: str) -> None:
            self.name = name

        def provide(
            self,
            base: str,
            repository: str,
            *,
            platform: str,
            python_version: str,
            registry: ImageRegistry,
        ) -> Refused:
            assert (repository, platform, python_version) == ("r", "p", "3")
            assert isinstance(registry, LayoutRegistry)
            asked.append(f"{self.name}: {base}")
            return Refused(self.name)

    layout = LayoutRegistry(tmp_path)
    bases = Bases(Noting("host"), Noting("images"))
    for base in ("host", "python@sha256:…"):
        bases.provide(base, "r", platform="p", python_version="3", registry=layout)
    assert asked == ["host: host", "images: python@sha256:…"]
