"""Same inputs, same digest; and nothing gets into an image that was not listed and resolved."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.domain.evidence import BuiltImage, Refused, StoredFile
from pipeline.domain.recipe import Recipe
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError
from pipeline.image.config import ImageConfig, host_platform, parse_config
from pipeline.image.manifest import Manifest, parse_manifest
from pipeline.image.unpack import unpack_layer
from pipeline.image.version_key import version_key
from pipeline.ports import ImageRegistry
from pipeline.steps.build import build
from tests.unit.steps import built_from_folder
from tests.unit.steps.built_from_folder import (
    LOCK,
    MODEL,
    PLAN,
    FolderStore,
    built_from,
    locked,
    write_model,
)

ROOT = Path(built_from_folder.__file__).parents[3]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(write_model(tmp_path / "model"))


def image(store: FolderStore, work: Path) -> BuiltImage:
    made = built_from(store, work)
    assert isinstance(made, BuiltImage), made
    return made


def read_image(made: BuiltImage, work: Path) -> tuple[Manifest, ImageConfig]:
    layout = LayoutRegistry(work / "images")
    content = layout.manifest(made.ref.repository, made.ref.digest.value)
    assert content
    manifest = parse_manifest(content)
    config = b"".join(layout.read_blob(made.ref.repository, manifest.config.digest))
    return manifest, parse_config(config)


def test_each_file_is_read_once(store: FolderStore, tmp_path: Path) -> None:
    image(store, tmp_path)
    assert store.reads == dict.fromkeys(MODEL, 1)


def test_the_layers_stacked_are_the_image_s_file_system(store: FolderStore, tmp_path: Path) -> None:
    made, root = image(store, tmp_path), tmp_path / "root"
    root.mkdir()
    layout = LayoutRegistry(tmp_path / "images")
    for layer in made.layers[1:]:  # the first is this test's base, which is no tar
        unpack_layer(layout.read_blob(made.ref.repository, layer), root)
    for path, content in MODEL.items():
        assert (root / "mnt/models" / path).read_bytes() == content
    assert (root / "opt/laurel/env/package/__init__.py").read_text() == LOCK.text
    assert (root / "opt/laurel/serve").stat().st_mode & 0o777 == 0o755
    assert (root / "opt/laurel/laurel_runtime.py").stat().st_mode & 0o777 == 0o644


def test_the_evidence_says_what_was_built(store: FolderStore, tmp_path: Path) -> None:
    made = image(store, tmp_path)
    model = locked(store.files(""))
    assert made.version_key == version_key(model.described.checked.resolved, PLAN)
    assert (made.runtime, made.slug, made.platform) == ("mlflow", "fraud", host_platform())
    assert (made.alias, made.run_id, made.model_id) == ("champion", "r-1", "m-1")
    assert (made.example, made.signature, made.source) == ("[]", None, "models:/m-1")
    assert made.lock_digest == LOCK.digest
    listed = sorted(
        [path, len(content), Digest.of(content).value] for path, content in MODEL.items()
    )
    said = json.dumps(listed, ensure_ascii=False, separators=(",", ":")).encode()
    assert made.artifact_digest == Digest.of(said)


def test_the_image_says_what_it_is_and_how_it_runs(store: FolderStore, tmp_path: Path) -> None:
    made = image(store, tmp_path)
    manifest, config = read_image(made, tmp_path)
    assert [layer.digest for layer in manifest.layers] == list(made.layers)
    assert config.diff_ids == made.layers
    assert config.entrypoint == ("/opt/python/bin/python3", "/opt/laurel/serve")
    assert config.env.items() >= {"PYTHONPATH": "/opt/laurel/env", "BASE": "1"}.items()
    assert not [name for name in config.env if name == "PORT" or name.startswith("K_")]
    assert config.user == "65532:65532"
    assert manifest.annotations == config.labels
    assert config.labels == {
        "org.opencontainers.image.title": "fraud",
        "org.opencontainers.image.version": "7",
        "org.opencontainers.image.source": "models:/m-1",
        "org.opencontainers.image.base.name": "host",
        "org.opencontainers.image.base.digest": made.base_digest.value,
        "dev.laurel.model.name": "fraud",
        "dev.laurel.model.version": "7",
        "dev.laurel.model.run_id": "r-1",
        "dev.laurel.artifact.digest": made.artifact_digest.value,
        "dev.laurel.lock.digest": LOCK.digest.value,
        "dev.laurel.runtime": "mlflow",
    }


def test_an_image_holds_no_credentials_of_where_its_model_came_from(
    store: FolderStore, tmp_path: Path
) -> None:
    model = locked(store.files(""))
    resolved = replace(
        model.described.checked.resolved, source="https://ann:secret@store.example/m?sig=abc"
    )
    checked = replace(model.described.checked, resolved=resolved)
    made = built_from(
        store, tmp_path, replace(model, described=replace(model.described, checked=checked))
    )
    assert isinstance(made, BuiltImage)
    labels = read_image(made, tmp_path)[1].labels
    assert labels["org.opencontainers.image.source"] == "https://store.example/m"


def test_building_again_finds_its_own_work(store: FolderStore, tmp_path: Path) -> None:
    first = image(store, tmp_path)
    blobs = set((tmp_path / "images/blobs/sha256").iterdir())
    assert image(store, tmp_path) == first
    assert set((tmp_path / "images/blobs/sha256").iterdir()) == blobs


@pytest.mark.parametrize(
    "paths",
    [
        ["../../etc/passwd"],
        ["/etc/passwd"],
        ["data/.wh.model"],
        ["a", "a/b"],
        ["a\x00b"],
        ["a", "a"],
    ],
    ids=str,
)
def test_a_hostile_listing_is_refused_in_one_sentence(
    store: FolderStore, tmp_path: Path, paths: list[str]
) -> None:
    files = (*store.files(""), *(StoredFile(path, 1) for path in paths))
    refused = built_from(store, tmp_path, locked(files))
    assert isinstance(refused, Refused)
    assert refused.reason.startswith("fraud/7: ")
    assert "\n" not in refused.reason
    assert not store.reads


@pytest.mark.parametrize("size", [4, 1_000_000])
def test_a_file_of_another_length_than_listed_is_refused(
    store: FolderStore, tmp_path: Path, size: int
) -> None:
    files = tuple(
        replace(file, size=size) if file.path == "data/model.pkl" else file
        for file in store.files("")
    )
    refused = built_from(store, tmp_path, locked(files))
    assert isinstance(refused, Refused)
    assert "fraud/7 changed while it was read" in refused.reason
    assert "data/model.pkl" in refused.reason


class Says:
    """A builder that ends as it is told (``ports.ImageBuilder``)."""

    def __init__(self, outcome: Refused | CorruptedError) -> None:
        self.outcome = outcome

    def build(self, recipe: Recipe, *, registry: ImageRegistry) -> Refused:
        assert recipe.repository
        assert registry is not None
        if isinstance(self.outcome, CorruptedError):
            raise self.outcome
        return self.outcome


def built_by(builder: Says, store: FolderStore, work: Path) -> BuiltImage | Refused:
    model, registry = locked(store.files("")), LayoutRegistry(work / "images")
    return build(model, plan=PLAN, store=store, builder=builder, registry=registry)


def test_what_a_builder_refuses_is_said_of_the_model(store: FolderStore, tmp_path: Path) -> None:
    refused = built_by(Says(Refused("the base has no python3.11", {"has": "3.9"})), store, tmp_path)
    assert refused == Refused("fraud/7: the base has no python3.11", {"has": "3.9"})


def test_a_registry_that_lies_is_not_taken_for_a_model_that_changed(
    store: FolderStore, tmp_path: Path
) -> None:
    lie = CorruptedError("push a layer", "registry.example.com", "it answers with another digest")
    with pytest.raises(CorruptedError, match="another digest"):
        built_by(Says(lie), store, tmp_path)


def test_a_file_of_other_bytes_than_were_resolved_is_refused(
    store: FolderStore, tmp_path: Path
) -> None:
    known = {path: Digest.of(content).value for path, content in MODEL.items()}
    assert isinstance(built_from(store, tmp_path, locked(store.files(""), known)), BuiltImage)
    (store.folder / "MLmodel").write_bytes(MODEL["MLmodel"].swapcase())
    refused = built_from(store, tmp_path, locked(store.files(""), known))
    assert isinstance(refused, Refused)
    assert "(MLmodel): it changed since" in refused.reason


def test_a_file_that_was_resolved_and_is_not_listed_any_more_is_refused(
    store: FolderStore, tmp_path: Path
) -> None:
    model = locked(store.files(""), {"gone": Digest.of(b"gone").value})
    assert isinstance(built_from(store, tmp_path, model), Refused)


def variants() -> Iterator[tuple[str, dict[str, str], str]]:
    yield "as it is", {}, "exec"
    yield "time zone", {"TZ": "Pacific/Kiritimati"}, "exec"
    yield "hash seed", {"PYTHONHASHSEED": "77"}, "exec"
    yield "mask", {}, "umask 0077; exec"
    yield "locale and home", {"LC_ALL": "C", "HOME": "/nonexistent"}, "exec"
    yield "user", {}, "exec unshare --map-user=12345 --map-group=12345"


@pytest.mark.parametrize(
    ("name", "environment", "how"), [*variants()], ids=lambda value: str(value)[:15]
)
def test_another_folder_user_mask_time_zone_or_hash_seed_gives_the_same_digest(
    store: FolderStore, tmp_path: Path, name: str, environment: dict[str, str], how: str
) -> None:
    here = image(store, tmp_path)
    elsewhere = tmp_path / f"another folder, {name}"
    elsewhere.mkdir()
    for path in write_model(elsewhere / "model").rglob("*"):
        os.utime(path, (1, 1))
        if os.getuid() == 0:
            os.chown(path, 65532, 65532)
    script = f'{how} "{sys.executable}" -m tests.unit.steps.built_from_folder "$1" "$2"'
    ran = subprocess.run(
        ["/bin/sh", "-c", script, "sh", str(elsewhere / "model"), str(elsewhere)],
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare failed" in ran.stderr:
        pytest.skip("needs user namespaces, which this machine denies")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [
        here.ref.digest.value,
        *(layer.value for layer in here.layers),
    ]
