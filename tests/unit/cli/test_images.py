"""Images without traffic: build, inspect and copy at the prompt."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import wiring
from pipeline.domain.content import Content
from pipeline.domain.evidence import Refused
from pipeline.domain.oci import IMAGE_CONFIG, IMAGE_MANIFEST, LAYER, Descriptor
from pipeline.domain.references import Digest, ImageRef
from pipeline.errors import UnavailableError
from pipeline.image.manifest import Manifest, parse_manifest
from pipeline.ports import ImageRegistry
from pipeline.settings.load import load_settings
from pipeline.steps.sign import sign
from tests.fakes.baked_image import bake
from tests.fakes.clock import FakeClock
from tests.unit.cli.conftest import answer, laurel
from tests.unit.promotion_scene import MODEL, Scene, scene

SERVICES = """
services:
  - {{name: fraud, model: {model}, repository: ml/fraud}}
  - {{name: prod, model: {model}, repository: prod/fraud, copy_from: ml/fraud}}
"""


@pytest.fixture
def registry(folder: Path) -> ImageRegistry:
    laurel("init")
    with (folder / "laurel.yaml").open("a") as file:
        file.write(SERVICES.format(model=MODEL))
    return wiring.open_images(load_settings(folder / "laurel.yaml", {}))


@pytest.fixture
def image(registry: ImageRegistry, folder: Path) -> ImageRef:
    settings = load_settings(folder / "laurel.yaml", {})
    smoked = bake(registry)
    sign(
        smoked,
        registry=registry,
        signer=wiring.signer(settings),
        policy=wiring.trust_policy(settings),
        clock=FakeClock(),
        promotion_id="p-1",
    )
    return smoked.built.ref


@pytest.fixture
def at_prompt(
    registry: ImageRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    """Have `laurel build` work in a scene of fakes, on the services of laurel.yaml."""
    assert registry.tags("ml/fraud") == ()
    with scene(tmp_path) as made:
        monkeypatch.setattr(wiring, "build_tools", lambda _settings: made.tools)
        yield made


def test_build_prints_the_digest_alone_and_tells_each_step_aside(at_prompt: Scene) -> None:
    built = laurel("build", f"{MODEL}/1", "--service", "fraud")
    assert built.exit_code == 0, built.stderr
    (digest,) = built.stdout.splitlines()
    assert at_prompt.images.manifest("ml/fraud", digest) is not None
    assert "laurel: fraud: lock: runtime and the model's requirements" in built.stderr
    assert f"laurel: fraud: {MODEL}/1 is ml/fraud@{digest}" in built.stderr
    assert at_prompt.target.services == {}


def test_build_answers_each_service_that_watches_the_model(at_prompt: Scene) -> None:
    items = answer("build", f"{MODEL}/1")["items"]
    fraud, prod = items
    assert (fraud["service"], prod["service"]) == ("fraud", "prod")
    assert prod["image"] == f"prod/fraud@{fraud['digest']}"  # copied: one image for both
    assert laurel("build", f"{MODEL}/1").stdout == f"{fraud['digest']}\n"
    assert at_prompt.runner.runs == 1


def test_build_takes_the_version_that_any_alias_names(at_prompt: Scene) -> None:
    at_prompt.models.point(MODEL, "challenger", 2)
    built = answer("build", f"{MODEL}@challenger", "--service", "fraud")
    assert built["model"] == {"name": MODEL, "version": 2}
    rebuilt = answer("build", f"{MODEL}@challenger", "--service", "fraud", "--rebuild")
    assert rebuilt["digest"] != built["digest"]


def test_build_that_is_refused_says_why_and_exits_with_1(at_prompt: Scene) -> None:
    at_prompt.resolver.refusal = Refused("a clashes with b")
    refused = laurel("build", f"{MODEL}/1")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "a clashes with b" in refused.stderr


def test_build_for_nobody_is_refused(at_prompt: Scene) -> None:
    refused = laurel("build", "nobody/1")
    assert refused.exit_code == 1
    assert "laurel.yaml has fraud" in refused.stderr
    assert at_prompt.runner.runs == 0


def test_build_without_mlflow_ends_errored(at_prompt: Scene) -> None:
    at_prompt.models.away = True
    errored = laurel("build", f"{MODEL}@champion")
    assert errored.exit_code == 3
    assert "resolve again: " in errored.stderr


def test_inspect_shows_what_is_inside_and_what_is_attached(image: ImageRef) -> None:
    shown = laurel("inspect", str(image))
    assert shown.exit_code == 0, shown.stderr
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["model", "fraud"] in lines
    assert ["version", "7"] in lines
    assert ["platform", "linux/amd64"] in lines
    digest = Digest.of(b"environment").value
    assert [digest, "11", LAYER, digest] in lines
    predicates = {line[-1] for line in lines if line and line[-1].startswith("https://")}
    assert predicates == {
        "https://slsa.dev/provenance/v1",
        "https://sigstore.dev/cosign/sign/v1",
    }


def test_inspect_for_programs_has_the_whole_configuration(image: ImageRef) -> None:
    found = answer("inspect", str(image))
    assert (found["model"], found["version"], found["runtime"]) == ("fraud", "7", "mlserver")
    assert found["size"] == sum(layer["size"] for layer in found["layers"]) == 20
    assert found["labels"]["dev.laurel.artifact.digest"] == found["artifact_digest"]
    assert found["entrypoint"] == "/opt/laurel/serve"
    assert len(found["referrers"]) == 2


def test_inspect_of_what_is_not_there_says_so(image: ImageRef) -> None:
    absent = f"{image.repository}@{Digest.of(b'absent')}"
    told = laurel("inspect", absent)
    assert told.exit_code == 2
    assert "no such manifest" in told.stderr


def test_inspect_refuses_what_is_no_image(registry: ImageRegistry) -> None:
    layer = registry.push_blob("ml/fraud", Content.of(b"layer"))
    config = registry.push_blob(
        "ml/fraud", Content.of(b'{"architecture":"a","rootfs":{"diff_ids":[]}}')
    )
    manifest = Manifest(
        Descriptor(IMAGE_CONFIG, config.digest, config.size),
        (Descriptor(LAYER, layer.digest, layer.size),),
    )
    digest = registry.push_manifest("ml/fraud", manifest.to_bytes(), IMAGE_MANIFEST)
    told = laurel("inspect", f"ml/fraud@{digest}")
    assert told.exit_code == 3
    assert "1 layers and 0 diffIDs" in told.stderr


def test_copy_prints_the_new_name_alone_and_brings_the_signatures(
    image: ImageRef, registry: ImageRegistry
) -> None:
    copied = laurel("copy", str(image), "prod/fraud")
    assert (copied.exit_code, copied.stdout) == (0, f"prod/fraud@{image.digest}\n"), copied.stderr
    assert registry.referrers("prod/fraud", image.digest) == registry.referrers(
        "ml/fraud", image.digest
    )
    content = registry.manifest("prod/fraud", image.digest.value)
    assert content is not None
    assert parse_manifest(content).config.media_type == IMAGE_CONFIG
    assert answer("copy", str(image), "prod/fraud") == {
        "image": f"prod/fraud@{image.digest}",
        "copied_from": str(image),
    }


def test_a_copy_is_trusted_where_laurel_yaml_says_copy_from_and_nowhere_else(
    image: ImageRef,
) -> None:
    for repository, code in (("prod/fraud", 0), ("third/fraud", 1)):
        copied = laurel("copy", str(image), repository)
        verified = laurel("verify", copied.stdout.strip())
        assert verified.exit_code == code, verified.stderr


@pytest.mark.parametrize("repository", ["Prod", "../prod", "", "prod/fraud@sha256:0"])
def test_copy_to_what_is_no_repository_is_a_usage_error(image: ImageRef, repository: str) -> None:
    assert laurel("copy", str(image), repository).exit_code == 2


def test_copy_to_a_registry_that_is_away_ends_errored(
    image: ImageRef, registry: ImageRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_asked: object) -> None:
        raise UnavailableError("push", "the registry", "is it running?")

    monkeypatch.setattr(registry, "push_manifest", away)
    monkeypatch.setattr(wiring, "open_images", lambda _settings: registry)
    assert laurel("copy", str(image), "prod/fraud").exit_code == 3
