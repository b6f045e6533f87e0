"""What the image layout promises beyond every registry: files that others read, and that last."""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.domain.content import Content
from pipeline.domain.oci import IMAGE_INDEX, IMAGE_MANIFEST, SIGSTORE_BUNDLE, Descriptor
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError, ForbiddenError, InvalidReferenceError
from pipeline.image.canonical import LIMIT
from pipeline.image.manifest import EMPTY, Manifest
from pipeline.image.referrers import fallback_tag, referrer_manifest

REPOSITORY = "ml/fraud"
IMAGE = Manifest(EMPTY, (), {"kind": "image"}).to_bytes()
SUBJECT = Descriptor(IMAGE_MANIFEST, Digest.of(IMAGE), len(IMAGE))


@pytest.fixture
def layout(tmp_path: Path) -> LayoutRegistry:
    return LayoutRegistry(tmp_path / "images")


def about(subject: Descriptor, name: str) -> bytes:
    bundle = Descriptor(SIGSTORE_BUNDLE, Digest.of(name.encode()), len(name))
    return referrer_manifest(subject, bundle, {"name": name}).to_bytes()


def test_the_folder_is_an_image_layout(layout: LayoutRegistry, tmp_path: Path) -> None:
    layout.push_manifest(REPOSITORY, IMAGE, IMAGE_MANIFEST, tag="one")
    layout.push_manifest(REPOSITORY, about(SUBJECT, "signature"), IMAGE_MANIFEST)
    root = tmp_path / "images"
    assert json.loads((root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    listed = json.loads((root / "index.json").read_bytes())["manifests"]
    name = "org.opencontainers.image.ref.name"
    assert {entry["annotations"][name]: entry["mediaType"] for entry in listed} == {
        f"{REPOSITORY}@{SUBJECT.digest}": IMAGE_MANIFEST,
        f"{REPOSITORY}:one": IMAGE_MANIFEST,
        f"{REPOSITORY}@{Digest.of(about(SUBJECT, 'signature'))}": IMAGE_MANIFEST,
        f"{REPOSITORY}:{fallback_tag(SUBJECT.digest)}": IMAGE_INDEX,
    }
    for entry in listed:
        path = root / "blobs" / "sha256" / entry["digest"].removeprefix("sha256:")
        assert Digest.of(path.read_bytes()).value == entry["digest"]
        assert path.stat().st_size == entry["size"]


def test_what_another_process_pushed_is_seen(layout: LayoutRegistry, tmp_path: Path) -> None:
    other = LayoutRegistry(tmp_path / "images")
    other.push_manifest(REPOSITORY, IMAGE, IMAGE_MANIFEST, tag="one")
    assert layout.manifest(REPOSITORY, "one") == IMAGE


def test_a_local_file_is_linked_and_not_copied(layout: LayoutRegistry, tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(b"content")
    digest = layout.push_file(REPOSITORY, tmp_path / "layer", Digest.of(b"content")).digest
    assert (tmp_path / "images/blobs/sha256" / digest.hex).samefile(tmp_path / "layer")


def test_where_links_cannot_be_had_a_local_file_is_copied(
    layout: LayoutRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_file_system(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    (tmp_path / "layer").write_bytes(b"content")
    monkeypatch.setattr(os, "link", other_file_system)
    layout.push_file(REPOSITORY, tmp_path / "layer", Digest.of(b"content"))
    assert b"".join(layout.read_blob(REPOSITORY, Digest.of(b"content"))) == b"content"


def test_two_that_link_the_same_layer_at_once_both_succeed(
    layout: LayoutRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faster(path: Path, target: Path) -> None:
        target.write_bytes(path.read_bytes())
        raise FileExistsError

    (tmp_path / "layer").write_bytes(b"content")
    monkeypatch.setattr(os, "link", faster)
    pushed = layout.push_file(REPOSITORY, tmp_path / "layer", Digest.of(b"content"))
    assert layout.blob(REPOSITORY, pushed.digest) == pushed


def test_tampered_bytes_are_never_passed_on_as_good(layout: LayoutRegistry, tmp_path: Path) -> None:
    blob = layout.push_blob(REPOSITORY, Content.of(b"content"))
    digest = layout.push_manifest(REPOSITORY, IMAGE, IMAGE_MANIFEST)
    for tampered in (blob.digest, digest):
        path = tmp_path / "images/blobs/sha256" / tampered.hex
        path.unlink()
        path.write_bytes(b"tampered")
    with pytest.raises(CorruptedError, match="remove it"):
        list(layout.read_blob(REPOSITORY, blob.digest))
    with pytest.raises(CorruptedError):
        layout.manifest(REPOSITORY, digest.value)


def test_a_manifest_larger_than_any_is_not_read(layout: LayoutRegistry, tmp_path: Path) -> None:
    digest = layout.push_manifest(REPOSITORY, b"{}", IMAGE_INDEX)
    stored = tmp_path / "images" / "blobs" / "sha256" / digest.hex
    stored.chmod(0o600)
    os.truncate(stored, LIMIT + 1)
    with pytest.raises(CorruptedError, match=f"{LIMIT + 1} bytes"):
        layout.manifest(REPOSITORY, digest.value)


def test_a_broken_index_says_so(layout: LayoutRegistry, tmp_path: Path) -> None:
    (tmp_path / "images/index.json").write_text("{")
    with pytest.raises(CorruptedError, match="image index"):
        layout.manifest(REPOSITORY, "one")


def test_an_index_may_grow_beyond_what_a_manifest_may(
    layout: LayoutRegistry, tmp_path: Path
) -> None:
    kept = layout.push_manifest(REPOSITORY, b"{}", IMAGE_INDEX, tag="kept")
    path = tmp_path / "images/index.json"
    index = json.loads(path.read_bytes())
    listed = index["manifests"][0]
    names = (f"{REPOSITORY}:{'x' * 120}-{n}" for n in range(20_000))
    index["manifests"] += [
        {**listed, "annotations": {"org.opencontainers.image.ref.name": name}} for name in names
    ]
    path.write_text(json.dumps(index))
    assert path.stat().st_size > LIMIT
    assert layout.manifest(REPOSITORY, "kept") == b"{}"
    assert layout.push_manifest(REPOSITORY, b"{}", IMAGE_INDEX, tag="another") == kept


def test_an_index_of_another_tool_is_kept(layout: LayoutRegistry, tmp_path: Path) -> None:
    digest = Digest.of(b"theirs").value
    theirs = {"mediaType": IMAGE_MANIFEST, "digest": digest, "size": 6}
    index = tmp_path / "images/index.json"
    index.write_text(json.dumps({"schemaVersion": 2, "manifests": [theirs]}))
    layout.push_manifest(REPOSITORY, IMAGE, IMAGE_MANIFEST)
    assert digest in {entry["digest"] for entry in json.loads(index.read_bytes())["manifests"]}


@pytest.mark.parametrize("tag", ["", "a/b", "a:b", "-a", "a" * 129, "a\n"])
def test_what_is_no_tag_is_refused(layout: LayoutRegistry, tag: str) -> None:
    with pytest.raises(InvalidReferenceError):
        layout.manifest(REPOSITORY, tag)
    with pytest.raises(InvalidReferenceError):
        layout.manifest(REPOSITORY, f"sha256:{tag}")


@pytest.mark.parametrize("repository", ["../x", "A", "", "a//b"])
def test_what_is_no_repository_is_refused(layout: LayoutRegistry, repository: str) -> None:
    with pytest.raises(InvalidReferenceError):
        layout.push_blob(repository, Content.of(b""))


def test_uploads_that_nobody_ended_are_removed_after_a_day(tmp_path: Path) -> None:
    uploads = tmp_path / "images/.uploads"
    uploads.mkdir(parents=True)
    for name, age in (("abandoned", 2), ("under-way", 2_000_000_000)):
        (uploads / name).write_bytes(b"half")
        os.utime(uploads / name, (age, age))
    (uploads / "gone").symlink_to("nowhere")
    LayoutRegistry(tmp_path / "images")
    assert {path.name for path in uploads.iterdir()} == {"under-way", "gone"}


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="could not make an image layout") as caught:
        LayoutRegistry(tmp_path / "file")
    assert not isinstance(caught.value, ForbiddenError)


def push_many(root: Path, name: str, start: object) -> None:
    start.wait()  # type: ignore[attr-defined] # a multiprocessing.Event, which typeshed makes no type of
    layout = LayoutRegistry(root)
    for number in range(10):
        content = Manifest(EMPTY, (), {"by": f"{name}-{number}"}).to_bytes()
        layout.push_manifest(REPOSITORY, content, IMAGE_MANIFEST, tag=f"{name}-{number}")
        layout.push_manifest(REPOSITORY, about(SUBJECT, f"{name}-{number}"), IMAGE_MANIFEST)


def test_several_processes_write_and_nothing_is_lost(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Event()
    root = tmp_path / "images"
    writers = [context.Process(target=push_many, args=(root, f"w{n}", start)) for n in range(4)]
    for writer in writers:
        writer.start()
    start.set()
    for writer in writers:
        writer.join()
    layout = LayoutRegistry(root)
    wanted = {f"w{n}-{number}" for n in range(4) for number in range(10)}
    assert all(layout.manifest(REPOSITORY, tag) for tag in wanted)
    listed = {found.annotations["name"] for found in layout.referrers(REPOSITORY, SUBJECT.digest)}
    assert listed == wanted


def test_a_disk_that_is_full_ends_the_push_and_leaves_what_was_there(tmp_path: Path) -> None:
    """A file system of 1 MiB of its own: the real errno, from the real kernel."""
    script = f"""
import pathlib, sys
sys.path.insert(0, {str(Path.cwd())!r})
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.domain.content import Content
from pipeline.errors import PermanentError
layout = LayoutRegistry(pathlib.Path("images"))
small = layout.push_blob("ml/fraud", Content.of(b"small"))
try:
    layout.push_blob("ml/fraud", Content(lambda: (bytes(65536) for _ in range(64)), 64 << 16))
except PermanentError as error:
    assert "the disk is full" in str(error), error
    assert layout.blob("ml/fraud", small.digest) == small
    assert not list(pathlib.Path("images/.uploads").iterdir())
    print("full")
"""
    mounted = (
        f"mount -t tmpfs -o size=1m none {tmp_path} && cd {tmp_path} && exec {sys.executable} -"
    )
    ran = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mounted],  # noqa: S607 - util-linux
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in ran.stderr and not ran.stdout:
        pytest.skip("needs user namespaces, which this machine denies; unit/image covers the errno")
    assert ran.stdout == "full\n", ran.stderr
