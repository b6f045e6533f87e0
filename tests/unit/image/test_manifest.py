"""Manifests, indexes and configurations: golden bytes, and nothing odd is read."""

import json
from dataclasses import replace

import pytest

from pipeline.domain.oci import IMAGE_CONFIG, LAYER, Descriptor
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError
from pipeline.image.canonical import LIMIT
from pipeline.image.config import ImageConfig, host_platform, parse_config
from pipeline.image.manifest import EMPTY, Manifest, index_bytes, parse_index, parse_manifest

CONTENT = Digest.of(b"content")
CONFIG = ImageConfig(
    architecture="amd64",
    entrypoint=("/opt/python/bin/python3", "/opt/laurel/serve"),
    env={"PYTHONPATH": "/opt/laurel/env", "HOME": "/tmp"},  # noqa: S108 - in the image
    diff_ids=(CONTENT,),
    labels={"dev.laurel.model.name": "betrügerei"},
)
MANIFEST = Manifest(
    Descriptor(IMAGE_CONFIG, CONTENT, 7), (Descriptor(LAYER, CONTENT, 7),), {"b": "2", "a": "1"}
)
DESCRIPTOR_JSON = (
    '{"digest":"sha256:ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"'
    ',"mediaType":"%s","size":7}'
)


def test_a_health_check_that_needs_a_shell_is_not_read() -> None:
    said = json.loads(replace(CONFIG, healthcheck=("true",)).to_bytes())
    assert said["config"]["Healthcheck"]["Test"] == ["CMD", "true"]
    said["config"]["Healthcheck"]["Test"] = ["CMD-SHELL", "true"]
    assert parse_config(json.dumps(said).encode()).healthcheck == ()


def test_a_configuration_has_one_spelling() -> None:
    assert CONFIG.to_bytes().decode() == (
        '{"architecture":"amd64","config":{"Entrypoint":["/opt/python/bin/python3",'
        '"/opt/laurel/serve"],"Env":["HOME=/tmp","PYTHONPATH=/opt/laurel/env"],'
        '"ExposedPorts":{"8080/tcp":{}},"Labels":{"dev.laurel.model.name":"betrügerei"},'
        '"User":"65532:65532","WorkingDir":"/tmp"},"created":"1970-01-01T00:00:00Z","os":"linux",'
        f'"rootfs":{{"diff_ids":["{CONTENT}"],"type":"layers"}}}}'
    )


def test_a_manifest_has_one_spelling() -> None:
    assert MANIFEST.to_bytes().decode() == (
        '{"annotations":{"a":"1","b":"2"},"config":'
        + DESCRIPTOR_JSON % IMAGE_CONFIG
        + ',"layers":['
        + DESCRIPTOR_JSON % LAYER
        + '],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}'
    )


def test_what_was_written_is_read_back() -> None:
    about = Manifest(EMPTY, MANIFEST.layers, {}, "application/x", MANIFEST.config)
    listed = Descriptor(LAYER, CONTENT, 7, "application/x", {"a": "1"})
    assert parse_config(CONFIG.to_bytes()) == CONFIG
    more = replace(CONFIG, command=("up",), healthcheck=("python3", "healthy"))
    assert parse_config(more.to_bytes()) == more
    assert parse_manifest(MANIFEST.to_bytes()) == MANIFEST
    assert parse_manifest(about.to_bytes()) == about
    assert parse_index(index_bytes((listed, MANIFEST.config))) == (listed, MANIFEST.config)


def test_the_empty_configuration_is_the_one_of_the_specification() -> None:
    assert EMPTY.digest.hex.startswith("44136fa355b3678a")


def test_a_foreign_configuration_may_leave_everything_out_that_it_may() -> None:
    foreign = json.dumps({"architecture": "arm64", "rootfs": {"diff_ids": []}}).encode()
    assert parse_config(foreign) == ImageConfig("arm64", (), {}, (), {}, user="", working_dir="/")


@pytest.mark.parametrize(
    "change",
    [
        {"mediaType": "application/vnd.oci.image.index.v1+json"},
        {"manifests": []},
        {"config": None},
        {"config": {"mediaType": 1, "digest": CONTENT.value, "size": 7}},
        {"config": {"mediaType": "x", "digest": CONTENT.value, "size": -1}},
        {"config": {"mediaType": "x", "digest": CONTENT.value, "size": "7"}},
        {"config": {"mediaType": "x", "digest": "sha256:short", "size": 7}},
        {"config": {"mediaType": "x", "digest": 7, "size": 7}},
        {"layers": 7},
        {"layers": ["x"]},
        {"annotations": {"a": 1}},
        {"annotations": "a"},
        {"subject": "x"},
    ],
    ids=str,
)
def test_what_is_no_image_manifest_is_not_read(change: dict[str, object]) -> None:
    said = json.loads(MANIFEST.to_bytes()) | change
    with pytest.raises(CorruptedError, match="read an image manifest"):
        parse_manifest(json.dumps(said).encode())


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b" " * LIMIT + b"{}", b'{"size": 1e}', b"{}"],
    ids=lambda content: f"{content[:9]!r}",
)
def test_what_is_no_document_is_corrupted(content: bytes) -> None:
    for parse in (parse_manifest, parse_index, parse_config):
        with pytest.raises(CorruptedError):
            parse(content)


def test_platforms_have_their_oci_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for machine, name in (("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")):
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        assert host_platform() == f"linux/{name}"
