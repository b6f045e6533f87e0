"""The local caches stay within a size, and nothing that is in use ever goes for that."""

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.adapters import cache_limit
from pipeline.adapters.cache_limit import CacheLimit
from pipeline.adapters.layer_store import LayerStore
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.domain.content import Content
from pipeline.domain.oci import IMAGE_CONFIG, IMAGE_MANIFEST, LAYER, Descriptor
from pipeline.domain.references import ImageRef
from pipeline.image.config import ImageConfig
from pipeline.image.manifest import Manifest
from pipeline.local.rootfs import RootfsCache
from pipeline.local.users import trees_in_use
from tests.unit.local.test_rootfs import tar

HOUR, DAY = 3600.0, 86400.0
SIZE = 100_000
NOTHING, EVERYTHING = 0, 1 << 40


class Cache:
    """A cache folder with layers and unpacked images in it, as Laurel fills it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "cache"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.registry = LayoutRegistry(folder / "images")
        self.store = LayerStore(self.root / "layers")
        self.rootfs = RootfsCache(self.root / "unpacked", self.registry)

    def tidy(self, limit: int) -> cache_limit.Tidied:
        return CacheLimit(self.root, limit, temporary=self.temporary).tidy()

    def layer(self, key: str, *, hours: float = 2, linked: bool = False) -> Path:
        """Make a layer that was last used so many hours ago."""
        content = key.encode() * SIZE

        def make(_folder: Path) -> Iterator[bytes]:
            yield content

        blob = self.store.provide(key, make, "ml/fraud", registry=self.registry)
        path = self.root / "layers" / "blobs" / "sha256" / blob.digest.hex
        if not linked:
            (self.registry._blobs / blob.digest.hex).unlink()
        aged(path, hours)
        for lock in (self.root / "layers" / "keys").iterdir():
            if lock.stat().st_mtime > time.time() - 1:
                aged(lock, hours)
        return path

    def image(self, *parts: str) -> ImageRef:
        layers = [tar(**{part: part * SIZE}) for part in parts]
        blobs = [self.registry.push_blob("ml/fraud", Content.of(layer)) for layer in layers]
        config = ImageConfig("amd64", ("/serve",), {}, tuple(blob.digest for blob in blobs))
        stored = self.registry.push_blob("ml/fraud", Content.of(config.to_bytes()))
        manifest = Manifest(
            Descriptor(IMAGE_CONFIG, stored.digest, stored.size),
            tuple(Descriptor(LAYER, blob.digest, blob.size) for blob in blobs),
        )
        digest = self.registry.push_manifest("ml/fraud", manifest.to_bytes(), IMAGE_MANIFEST)
        return ImageRef("ml/fraud", digest)

    def tree(self, *parts: str, hours: float = 2) -> Path:
        """Unpack an image that was last used so many hours ago."""
        tree = self.rootfs.provide(self.image(*parts)).path
        aged(tree, hours)
        return tree

    def serves(self, state: Path, revision: str, **notes: object) -> None:
        """Write down, as a supervisor does, on what a server runs."""
        (state / "processes").mkdir(parents=True, exist_ok=True)
        record = {"pid": 1, "start": 1, "boot": "", "at": 0.0, "starts": 1, **notes}
        (state / "processes" / f"{revision}.json").write_text(json.dumps(record))
        self.rootfs.serve(state)


def aged(path: Path, hours: float) -> None:
    then = time.time() - hours * HOUR
    os.utime(path, (then, then))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def test_an_empty_cache_is_within_any_limit(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    limit = CacheLimit(tmp_path / "cache", NOTHING, temporary=tmp_path / "tmp")
    assert limit.tidy() == cache_limit.Tidied(0, 0)


def test_within_the_limit_everything_stays(cache: Cache) -> None:
    layer, tree = cache.layer("a"), cache.tree("a")
    tidied = cache.tidy(EVERYTHING)
    assert tidied.freed == 0
    assert tidied.after == tidied.before >= 2 * SIZE
    assert layer.exists()
    assert tree.exists()


def test_the_least_recently_used_goes_first_until_it_fits(cache: Cache) -> None:
    oldest, middle = cache.tree("x", hours=9), cache.layer("y", hours=8)
    newest = cache.tree("z", hours=7)
    before = cache.tidy(EVERYTHING).before
    tidied = cache.tidy(before - 1)
    assert (oldest.exists(), middle.exists(), newest.exists()) == (False, True, True)
    assert tidied.after < before
    cache.tidy(SIZE + 40_000)
    assert (middle.exists(), newest.exists()) == (False, True)
    assert list((cache.root / "unpacked").glob("evicted-*")) == []


def test_what_was_used_in_the_last_hour_stays(cache: Cache) -> None:
    layer, tree = cache.layer("a", hours=0.5), cache.tree("b", hours=0.5)
    assert cache.tidy(NOTHING).freed == 0
    assert layer.exists()
    assert tree.exists()


def test_using_a_layer_or_an_image_makes_it_recent(cache: Cache) -> None:
    layer, tree = cache.layer("a", hours=9, linked=True), cache.tree("b", hours=9)
    cache.store.provide("a", lambda _folder: iter(()), "ml/fraud", registry=cache.registry)
    cache.rootfs.provide(cache.image("b"))
    (cache.registry._blobs / layer.name).unlink()
    cache.tidy(NOTHING)
    assert layer.exists()
    assert tree.exists()


def test_what_went_is_made_again_when_it_is_asked_for(cache: Cache) -> None:
    layer, tree = cache.layer("a"), cache.tree("b")
    assert cache.tidy(NOTHING).after == 0
    assert cache.layer("a") == layer
    assert cache.tree("b") == tree


def test_what_a_registry_on_the_same_disk_shares_stays_for_it_would_free_nothing(
    cache: Cache,
) -> None:
    layer = cache.layer("a", linked=True)
    assert cache.tidy(NOTHING) == cache_limit.Tidied(0, 0)
    assert layer.exists()


def test_a_layer_that_somebody_works_with_stays(cache: Cache) -> None:
    layer = cache.layer("a")
    (lock,) = (cache.root / "layers" / "keys").glob("*.lock")
    with lock.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert cache.tidy(NOTHING).freed == 0
    assert layer.exists()
    assert cache.tidy(NOTHING).freed > 0


def test_a_layer_that_is_used_while_the_cache_is_looked_at_stays(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = cache.layer("a")
    share = cache_limit._share

    def used_meanwhile(tree: Path) -> int:
        for lock in (cache.root / "layers" / "keys").glob("*.lock"):
            os.utime(lock)
        return share(tree)

    cache.tree("b")
    monkeypatch.setattr(cache_limit, "_share", used_meanwhile)
    cache.tidy(NOTHING)
    assert layer.exists()


def test_a_layer_without_a_key_goes_by_its_own_age(cache: Cache) -> None:
    layer = cache.layer("a")
    for key in (cache.root / "layers" / "keys").iterdir():
        key.unlink()
    (cache.root / "layers" / "keys" / "damaged").write_bytes(b"\xff")
    cache.tidy(NOTHING)
    assert not layer.exists()


def test_a_tree_that_a_server_runs_on_stays_whoever_started_it(
    cache: Cache, tmp_path: Path
) -> None:
    mine, others, nobodys = cache.tree("a"), cache.tree("b"), cache.tree("c")
    cache.serves(tmp_path / "mine", "fraud-00001", root=str(mine))
    cache.serves(tmp_path / "others", "fraud-00001", root=str(others))
    cache.tidy(NOTHING)
    assert (mine.exists(), others.exists(), nobodys.exists()) == (True, True, False)
    (tmp_path / "others" / "processes" / "fraud-00001.json").unlink()
    cache.tidy(NOTHING)
    assert (mine.exists(), others.exists()) == (True, False)


def test_a_target_whose_folder_is_gone_has_no_servers(cache: Cache, tmp_path: Path) -> None:
    tree = cache.tree("a")
    cache.serves(tmp_path / "gone", "fraud-00001", root=str(tree))
    (tmp_path / "gone" / "processes" / "fraud-00001.json").unlink()
    (tmp_path / "gone" / "processes").rmdir()
    cache.tidy(NOTHING)
    assert not tree.exists()
    assert list((cache.root / "unpacked" / "users").iterdir()) == []


@pytest.mark.parametrize("notes", [{}, {"root": 7}], ids=["an older record", "a damaged one"])
def test_while_it_is_not_known_on_what_servers_run_every_tree_stays(
    cache: Cache, tmp_path: Path, notes: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    tree, layer = cache.tree("a"), cache.layer("b")
    cache.serves(tmp_path / "mine", "fraud-00001", **notes)
    with caplog.at_level(logging.WARNING):
        cache.tidy(NOTHING)
    assert tree.exists()
    assert not layer.exists()
    assert "is not known" in caplog.text


def test_records_that_cannot_be_read_keep_every_tree(cache: Cache, tmp_path: Path) -> None:
    cache.serves(tmp_path / "mine", "fraud-00001", root="/a")
    (user,) = (cache.root / "unpacked" / "users").iterdir()
    user.unlink()
    user.mkdir()
    assert trees_in_use(cache.root / "unpacked") is None


def test_while_somebody_unpacks_no_tree_goes(cache: Cache) -> None:
    tree = cache.tree("a")
    with (cache.root / "unpacked" / "lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (cache.root / "unpacked" / "evicted-left").mkdir()
        assert cache.tidy(NOTHING).freed == 0
    assert tree.exists()
    assert (cache.root / "unpacked" / "evicted-left").exists()
    cache.tidy(NOTHING)
    assert not tree.exists()
    assert not (cache.root / "unpacked" / "evicted-left").exists()


@pytest.mark.parametrize("when", ["before it is taken", "while it is taken"])
def test_a_tree_that_is_used_meanwhile_stays(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, when: str, tmp_path: Path
) -> None:
    tree, rename, share = cache.tree("a"), Path.rename, cache_limit._share

    def used_late(path: Path, target: Path) -> Path:
        if path == tree:
            os.utime(path)
        return rename(path, target)

    def served_before(measured: Path) -> int:
        cache.serves(tmp_path / "mine", "fraud-00001", root=str(tree))
        return share(measured)

    if when == "while it is taken":
        monkeypatch.setattr(Path, "rename", used_late)
    else:
        monkeypatch.setattr(cache_limit, "_share", served_before)
    assert cache.tidy(NOTHING).freed == 0
    assert (tree / "a").read_text() == "a" * SIZE


def test_a_tree_that_another_process_took_first_is_no_fault(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, share = cache.tree("a"), cache_limit._share

    def taken(measured: Path) -> int:
        size = share(measured)
        tree.rename(cache.root / "taken")
        return size

    monkeypatch.setattr(cache_limit, "_share", taken)
    assert cache.tidy(NOTHING).freed == 0


def test_files_that_trees_share_are_counted_once(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.local.rootfs._WORTH_KEEPING", 0)
    for model in ("x", "y", "z"):
        cache.tree("environment", model)
    assert 3 * SIZE + 11 * SIZE <= cache.tidy(EVERYTHING).before < 3 * SIZE + 2 * 11 * SIZE


def test_folders_that_not_even_their_owner_may_write_go_too(cache: Cache) -> None:
    tree = cache.tree("a")
    (tree / "locked" / "in").mkdir(parents=True)
    (tree / "locked" / "in" / "file").write_text("x")
    (tree / "locked" / "in").chmod(0o500)
    (tree / "locked").chmod(0o500)
    aged(tree, 2)
    cache.tidy(NOTHING)
    assert not tree.exists()
    assert list((cache.root / "unpacked").glob("evicted-*")) == []


def test_what_killed_processes_left_goes_after_a_day(cache: Cache) -> None:
    work = cache.root / "layers" / "work"
    for parent, name in ((work, "0.abc"), (cache.temporary, "laurel-smoke-abc")):
        for age in ("old", "young"):
            (parent / f"{name}-{age}").mkdir()
            (parent / f"{name}-{age}" / "model.sock").touch()
        aged(parent / f"{name}-old", 25)
    (cache.temporary / "elsewhere").mkdir()
    (cache.temporary / "laurel-smoke-link").symlink_to(cache.temporary / "elsewhere")
    os.utime(cache.temporary / "laurel-smoke-link", (0, 0), follow_symlinks=False)
    (cache.temporary / "another-program").mkdir()
    aged(cache.temporary / "another-program", 25)
    cache.tidy(EVERYTHING)
    assert [path.name for path in work.iterdir()] == ["0.abc-young"]
    assert {path.name for path in cache.temporary.iterdir()} == {
        *("another-program", "elsewhere", "laurel-smoke-abc-young", "laurel-smoke-link")
    }


def test_what_belongs_to_somebody_else_is_left_alone(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = cache.temporary / "laurel-smoke-theirs"
    theirs.mkdir()
    aged(theirs, 25)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    cache.tidy(EVERYTHING)
    assert theirs.exists()


def test_locks_that_are_out_of_date_go(cache: Cache) -> None:
    locks = cache.root / "locks"
    locks.mkdir()
    for name, hours in (("old.json", 49), ("young.json", 47)):
        (locks / name).write_text("{}")
        aged(locks / name, hours)
    cache.tidy(EVERYTHING)
    assert [path.name for path in locks.iterdir()] == ["young.json"]
