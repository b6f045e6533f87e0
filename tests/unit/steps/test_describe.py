import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.adapters.local_artifacts import LocalArtifacts
from pipeline.domain.evidence import CheckedModel, Refused, StoredFile
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError
from pipeline.steps.describe import describe
from tests.unit.steps.model_scene import FIXTURES, Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene.of("sk-pickle", tmp_path)


def test_the_files_are_listed_and_what_the_small_ones_say_is_read(scene: Scene) -> None:
    described = scene.described()
    assert {file.path for file in described.files} == {file.name for file in scene.folder.iterdir()}
    said = described.description
    assert (said.mlflow_version, said.python_version) == ("3.17.2", "3.11.7")
    assert said.flavors == ("python_function", "sklearn")
    assert said.requirements[0] == "mlflow==3.17.2"
    assert said.example == (FIXTURES / "sk-pickle/serving_input_example.json").read_text()
    assert said.signature is not None
    assert "amount" in said.signature


def test_the_digest_of_each_file_that_was_read_is_kept_for_the_build(scene: Scene) -> None:
    digests = scene.described().description.digests
    assert set(digests) == {
        "MLmodel",
        "python_env.yaml",
        "requirements.txt",
        "serving_input_example.json",
    }
    content = (scene.folder / "MLmodel").read_bytes()
    assert digests["MLmodel"] == Digest.of(content).value


def test_files_that_were_deleted_meanwhile_are_a_refusal(scene: Scene) -> None:
    shutil.rmtree(scene.folder)
    assert "its files are gone" in scene.refusal()


def test_a_model_without_an_mlmodel_file_is_refused(scene: Scene) -> None:
    (scene.folder / "MLmodel").unlink()
    assert "fraud/3 has no MLmodel file" in scene.refusal()


@pytest.mark.parametrize(
    "text", ["[]", "flavors: 7", "flavors: {sklearn: {}}", "flavors: {python_function: no}"]
)
def test_a_model_without_a_servable_flavor_is_refused(scene: Scene, text: str) -> None:
    scene.write("MLmodel", text)
    assert "no python_function flavor" in scene.refusal()


@pytest.mark.parametrize(
    "text", [b"a: [", b"\xff\xfe", b"!!python/object:os.system {}", b"[" * 100_000]
)
def test_a_description_that_cannot_be_read_is_refused(scene: Scene, text: bytes) -> None:
    scene.write("MLmodel", text)
    assert "cannot be read" in scene.refusal()


def test_references_that_merge_into_more_than_memory_holds_are_refused(scene: Scene) -> None:
    levels = [f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}" for n in range(1, 12)]
    scene.write("MLmodel", "\n".join(["m0: &m0 {k: v}", *levels]))
    assert "cannot be read" in scene.refusal()


def test_references_that_stand_for_more_than_memory_holds_are_never_written_out(
    scene: Scene,
) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    bomb = "\n".join(["l0: &l0 [x]", *levels])
    scene.edit("MLmodel", "signature:\n", f"{bomb}\nsignature:\n  more: *l11\n")
    described = scene.described().description
    assert described.signature is not None
    assert set(json.loads(described.signature)) == {"inputs", "outputs"}
    scene.write("python_env.yaml", f"{bomb}\npython: *l11")
    assert "does not say its Python version" in scene.refusal()


@pytest.mark.parametrize("text", ["", "\n# only a comment\n\n"])
def test_a_model_without_requirements_is_refused(scene: Scene, text: str) -> None:
    scene.write("requirements.txt", text)
    assert "log it with pip_requirements" in scene.refusal()
    (scene.folder / "requirements.txt").unlink()
    assert "log it with pip_requirements" in scene.refusal()


def test_comments_are_no_requirements(scene: Scene) -> None:
    scene.write("requirements.txt", "# made by hand\nmlflow==3.17.2  # the server\n")
    assert scene.described().description.requirements == ("mlflow==3.17.2",)


def test_a_model_that_does_not_say_its_mlflow_is_refused(scene: Scene) -> None:
    scene.edit("MLmodel", "mlflow_version: 3.17.2", "mlflow_version: 3")
    assert "mlflow_version" in scene.refusal()


def test_the_python_version_is_read_from_mlmodel_where_there_is_no_environment_file(
    scene: Scene,
) -> None:
    (scene.folder / "python_env.yaml").unlink()
    assert scene.described().description.python_version == "3.11.7"
    scene.edit("MLmodel", "python_version: 3.11.7", "python_version: null")
    assert "does not say its Python version" in scene.refusal()


def test_a_model_without_example_or_signature_resolves(scene: Scene) -> None:
    (scene.folder / "serving_input_example.json").unlink()
    scene.edit("MLmodel", "signature:", "not_a_signature:")
    said = scene.described().description
    assert (said.example, said.signature) == (None, None)


def test_an_example_too_large_to_send_counts_as_none(scene: Scene) -> None:
    scene.write("serving_input_example.json", b" " * (1 << 20) + b"{")
    assert scene.described().description.example is None


def test_an_mlmodel_too_large_to_be_mlflows_is_refused(scene: Scene) -> None:
    scene.write("MLmodel", b"#" * ((1 << 20) + 1))
    assert "MLmodel has 1048577 bytes" in scene.refusal()


def test_a_link_among_the_artifacts_refuses_the_model(scene: Scene) -> None:
    (scene.folder / "data").symlink_to("/etc/passwd")
    assert scene.refusal().startswith("fraud/3: the model's artifacts hold 'data'")


def test_a_file_that_differs_from_its_listing_refuses_the_model(scene: Scene) -> None:
    class Cut(LocalArtifacts):
        def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
            yield from super().read(artifact_uri, file)
            raise CorruptedError("read", file.path, "it has 3 bytes, the listing says 4")

    refused = describe(CheckedModel(scene.resolved(), ()), store=Cut())
    assert isinstance(refused, Refused)
    assert "the listing says" in refused.reason
