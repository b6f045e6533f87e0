"""What other people's manifests and configurations say, in OCI's words and in Docker's."""

import json
from typing import Any

import pytest

from pipeline.domain.oci import IMAGE_CONFIG, IMAGE_INDEX, IMAGE_MANIFEST, LAYER, LAYER_GZIP
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError
from pipeline.image.base_image import parse_base, parse_base_config
from pipeline.image.manifest import Manifest

DOCKER = "application/vnd.docker."
DIGEST = Digest.of(b"content")


def descriptor(media_type: str, **more: object) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": DIGEST.value, "size": 7, **more}


def manifest(kind: str | None, config: str, *layers: str) -> bytes:
    said: dict[str, Any] = {"schemaVersion": 2, "config": descriptor(config)}
    said["layers"] = [descriptor(layer) for layer in layers]
    return json.dumps(said | ({"mediaType": kind} if kind else {}), indent=3).encode()


@pytest.mark.parametrize(
    "content",
    [
        manifest(IMAGE_MANIFEST, IMAGE_CONFIG, LAYER_GZIP, LAYER),
        manifest(None, IMAGE_CONFIG, LAYER_GZIP, LAYER),
        manifest(
            DOCKER + "distribution.manifest.v2+json",
            DOCKER + "container.image.v1+json",
            DOCKER + "image.rootfs.diff.tar.gzip",
            DOCKER + "image.rootfs.diff.tar",
        ),
    ],
    ids=["OCI", "OCI, unsaid", "Docker"],
)
def test_a_manifest_is_read_in_oci_s_words(content: bytes) -> None:
    read = parse_base(content)
    assert isinstance(read, Manifest)
    assert read.config.media_type == IMAGE_CONFIG
    assert [layer.media_type for layer in read.layers] == [LAYER_GZIP, LAYER]
    assert {layer.digest for layer in read.layers} == {DIGEST}


@pytest.mark.parametrize(
    ("kind", "listed"),
    [
        (IMAGE_INDEX, IMAGE_MANIFEST),
        (DOCKER + "distribution.manifest.list.v2+json", DOCKER + "distribution.manifest.v2+json"),
    ],
    ids=["OCI", "Docker"],
)
def test_an_index_offers_images_for_platforms(kind: str, listed: str) -> None:
    platforms: list[dict[str, str] | None] = [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64", "variant": "v8"},
        {"os": "linux", "architecture": "arm", "variant": "v7"},
        {"os": "linux", "architecture": "amd64", "variant": "v3"},
        {"os": "unknown", "architecture": "unknown"},
        None,
    ]
    manifests = [descriptor(listed, platform=platform) for platform in platforms]
    manifests.append(descriptor(IMAGE_INDEX, platform=platforms[0]))
    said = {"schemaVersion": 2, "mediaType": kind, "manifests": manifests}
    offered = parse_base(json.dumps(said).encode())
    assert isinstance(offered, tuple)
    assert {each.manifest.digest for each in offered} == {DIGEST}
    assert [each.platform for each in offered] == [
        "linux/amd64",
        "linux/arm64",
        "linux/arm/v7",
        "linux/amd64/v3",
        "unknown/unknown",
        "",
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"layers": 3}',
        b'{"manifests": [3]}',
        b'{"manifests": [{"mediaType": {}}]}',
        b'{"manifests": [], "layers": []}',
        b'{"layers": [], "config": {}, "mediaType": []}',
        b'{"layers": [3], "config": {}}',
        json.dumps({"manifests": [descriptor(IMAGE_MANIFEST, platform=[1])]}).encode(),
        json.dumps({"manifests": [descriptor(IMAGE_MANIFEST, platform={"os": 1})]}).encode(),
        b'{"schemaVersion": 1, "fsLayers": []}',
        b" " * (5 << 20),
    ],
)
def test_what_is_neither_image_nor_index_is_refused(content: bytes) -> None:
    with pytest.raises(CorruptedError, match=r"could not read an? (base|image)"):
        parse_base(content)


def config(**said: object) -> bytes:
    rootfs = {"rootfs": {"type": "layers", "diff_ids": [DIGEST.value]}}
    return json.dumps({"os": "linux", "architecture": "amd64", **rootfs, **said}).encode()


def test_a_configuration_says_platform_variables_and_diffids() -> None:
    read = parse_base_config(config(config={"Env": ["PATH=/bin", "A=b=c", "EMPTY=", "BARE"]}))
    assert read.platform == "linux/amd64"
    assert read.env == {"PATH": "/bin", "A": "b=c", "EMPTY": "", "BARE": ""}
    assert read.diff_ids == (DIGEST,)
    assert parse_base_config(config(config=None)).env == {}
    assert parse_base_config(config(config={"Env": None})).env == {}


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        config(rootfs={}),
        config(rootfs={"diff_ids": ["md5:0"]}),
        config(config={"Env": [3]}),
        config(config=[3]),
        config(architecture=3),
    ],
)
def test_what_is_no_configuration_is_refused(content: bytes) -> None:
    with pytest.raises(CorruptedError, match="could not read a base's configuration"):
        parse_base_config(content)
