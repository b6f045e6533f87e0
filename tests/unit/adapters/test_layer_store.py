"""Layers that took long are made once per machine, whatever crashes in between."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.adapters.layer_store import LayerStore
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.domain.references import Digest
from pipeline.domain.serving import Blob
from pipeline.errors import UnavailableError
from tests.fakes.image_registry import InMemoryRegistry

REPOSITORY = "ml/fraud"
BLOB = Blob(Digest.of(b"layer"), 5)


class Made:
    """Makes a layer by way of a file, and counts how often it had to."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, folder: Path) -> Iterator[bytes]:
        self.times += 1
        assert not list(folder.iterdir())
        (folder / "file").write_bytes(b"layer")
        yield (folder / "file").read_bytes()


@pytest.fixture
def made() -> Made:
    return Made()


def images(folder: Path, name: str = "images") -> LayoutRegistry:
    return LayoutRegistry(folder / name)


def test_a_layer_is_made_once_and_linked_into_every_registry(tmp_path: Path, made: Made) -> None:
    for name in ("one", "two", "two"):
        store = LayerStore(tmp_path / "cache")
        registry = images(tmp_path, name)
        assert store.provide("key", made, REPOSITORY, registry=registry) == BLOB
        assert b"".join(registry.read_blob(REPOSITORY, BLOB.digest)) == b"layer"
    assert made.times == 1
    assert (tmp_path / "cache/blobs/sha256" / BLOB.digest.hex).stat().st_nlink == 3
    assert not list((tmp_path / "cache/work").iterdir())


def test_another_key_is_another_layer(tmp_path: Path, made: Made) -> None:
    for key in ("one", "two"):
        LayerStore(tmp_path).provide(key, made, REPOSITORY, registry=images(tmp_path))
    assert made.times == 2


def test_the_cache_is_private(tmp_path: Path) -> None:
    LayerStore(tmp_path / "cache")
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_a_layer_that_went_bad_is_made_again(tmp_path: Path, made: Made) -> None:
    store = LayerStore(tmp_path / "cache")
    store.provide("key", made, REPOSITORY, registry=images(tmp_path, "one"))
    kept = tmp_path / "cache/blobs/sha256" / BLOB.digest.hex
    kept.unlink()
    kept.write_bytes(b"rotten")
    assert store.provide("key", made, REPOSITORY, registry=images(tmp_path, "two")) == BLOB
    assert made.times == 2


@pytest.mark.parametrize("lost", ["blobs/sha256", "keys"])
def test_whatever_was_lost_of_the_cache_is_made_again(
    tmp_path: Path, made: Made, lost: str
) -> None:
    store = LayerStore(tmp_path / "cache")
    store.provide("key", made, REPOSITORY, registry=images(tmp_path, "one"))
    for path in (tmp_path / "cache" / lost).iterdir():
        path.unlink()
    assert store.provide("key", made, REPOSITORY, registry=images(tmp_path, "two")) == BLOB
    assert made.times == 2


def test_a_key_that_names_nothing_sensible_is_no_key(tmp_path: Path, made: Made) -> None:
    store = LayerStore(tmp_path / "cache")
    for content in (b"sha256:short", b"\xff"):
        store.provide("key", made, REPOSITORY, registry=images(tmp_path))
        [key] = (path for path in (tmp_path / "cache/keys").iterdir() if path.suffix != ".lock")
        key.write_bytes(content)
    assert store.provide("key", made, REPOSITORY, registry=images(tmp_path)) == BLOB
    assert made.times == 3


def test_what_the_registry_has_needs_no_cache(tmp_path: Path, made: Made) -> None:
    store = LayerStore(tmp_path / "cache")
    store.provide("key", made, REPOSITORY, registry=images(tmp_path))
    (tmp_path / "cache/blobs/sha256" / BLOB.digest.hex).unlink()
    assert store.provide("key", made, REPOSITORY, registry=images(tmp_path)) == BLOB
    assert made.times == 1


def test_a_failure_leaves_nothing_and_the_next_attempt_starts_afresh(
    tmp_path: Path, made: Made
) -> None:
    def failing(folder: Path) -> Iterator[bytes]:
        (folder / "half").write_bytes(b"half")
        yield b"half"
        raise UnavailableError("install", "a lock", "try again")

    store = LayerStore(tmp_path / "cache")
    with pytest.raises(UnavailableError):
        store.provide("key", failing, REPOSITORY, registry=images(tmp_path))
    assert not list((tmp_path / "cache/work").iterdir())
    assert not list((tmp_path / "cache/blobs/sha256").iterdir())
    assert store.provide("key", made, REPOSITORY, registry=images(tmp_path)) == BLOB


def _make_and_die(tmp_path: Path) -> None:
    def dying(folder: Path) -> Iterator[bytes]:
        (folder / "half").write_bytes(b"half")
        yield b"half"
        os.kill(os.getpid(), signal.SIGKILL)

    LayerStore(tmp_path / "cache").provide("key", dying, REPOSITORY, registry=images(tmp_path))


def test_a_killed_process_holds_no_lock_and_what_it_left_is_removed(
    tmp_path: Path, made: Made
) -> None:
    victim = multiprocessing.get_context("fork").Process(target=_make_and_die, args=(tmp_path,))
    victim.start()
    victim.join()
    assert list((tmp_path / "cache/work").iterdir())
    store = LayerStore(tmp_path / "cache")
    assert store.provide("key", made, REPOSITORY, registry=images(tmp_path)) == BLOB
    assert not list((tmp_path / "cache/work").iterdir())


def _make(tmp_path: Path, name: str) -> None:
    def note(_: Path) -> Iterator[bytes]:
        with (tmp_path / "made").open("a") as file:
            file.write(f"{name}\n")
        yield b"layer"

    registry = images(tmp_path)
    LayerStore(tmp_path / "cache").provide("key", note, REPOSITORY, registry=registry)


def test_of_several_processes_one_makes_the_layer(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    makers = [context.Process(target=_make, args=(tmp_path, str(n))) for n in range(4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert [maker.exitcode for maker in makers] == [0] * 4
    assert len((tmp_path / "made").read_text().splitlines()) == 1


class Hosts(InMemoryRegistry):
    """Registries that count what was pushed to them and mount within one host alone."""

    def __init__(self) -> None:
        super().__init__()
        self.pushed: list[str] = []

    def push_file(self, repository: str, path: Path, digest: Digest) -> Blob:
        self.pushed.append(repository)
        return super().push_file(repository, path, digest)

    def mount(self, repository: str, digest: Digest, source: str) -> Blob | None:
        if repository.partition("/")[0] != source.partition("/")[0]:
            return None
        return super().mount(repository, digest, source)


def test_into_another_repository_of_a_registry_no_bytes_move(tmp_path: Path, made: Made) -> None:
    registry, store = Hosts(), LayerStore(tmp_path)
    one, two, other = "r.example.com/one", "r.example.com/two", "other.example.com/one"
    for repository in (one, two, other, one, "r.example.com/three", "other.example.com/two"):
        assert store.provide("key", made, repository, registry=registry) == BLOB
        assert registry.blob(repository, BLOB.digest)
    assert registry.pushed == [one, other]
    assert made.times == 1


def test_a_layer_is_mounted_though_this_machine_kept_none(tmp_path: Path, made: Made) -> None:
    registry, store = Hosts(), LayerStore(tmp_path)
    store.provide("key", made, "r.example.com/one", registry=registry)
    (tmp_path / "blobs/sha256" / BLOB.digest.hex).unlink()
    assert store.provide("key", made, "r.example.com/two", registry=registry) == BLOB
    assert made.times == 1


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"r.example.com": "../x"}', b"[1]"])
def test_a_place_that_is_gone_or_none_costs_an_upload(
    tmp_path: Path, made: Made, content: bytes
) -> None:
    registry, store = Hosts(), LayerStore(tmp_path)
    store.provide("key", made, "r.example.com/one", registry=registry)
    [where] = (tmp_path / "where").iterdir()
    if content == b"[1]":
        registry.blobs.clear()  # the registry lost it
    else:
        where.write_bytes(content)
    assert store.provide("key", made, "r.example.com/two", registry=registry) == BLOB
    assert registry.pushed == ["r.example.com/one", "r.example.com/two"]
    assert made.times == 1
