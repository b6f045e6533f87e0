"""A release is the same bytes wherever it is made, and what was not signed so is not believed."""

import os
from pathlib import Path

import pytest
import yaml

from pipeline import own_release
from pipeline.adapters.cosign_signer import KeyFileSigner
from pipeline.domain.evidence import Refused
from pipeline.domain.policy import TrustPolicy
from pipeline.trust.attachments import attach
from pipeline.trust.bundle import read_bundle
from pipeline.trust.key_file import create_key_file
from pipeline.trust.keys import PrivateKey
from pipeline.trust.statements import (
    SLSA_PROVENANCE,
    Statement,
    read_statement,
    signature_statement,
)
from tests.fakes.baked_image import bake
from tests.fakes.image_registry import InMemoryRegistry

SOURCE = "git+https://github.com/acme/laurel@08c6903cd8c0fde910a37f88322edcfb5dd907a8"
NOWHERE = f"laurel@sha256:{'a' * 64}"


@pytest.fixture
def key(tmp_path: Path) -> dict[str, str]:
    """Write a laurel.yaml with a key, and say in variables where."""
    create_key_file(tmp_path / "laurel.key", "a password")
    (tmp_path / "laurel.yaml").write_text(
        yaml.safe_dump({"registry": f"oci-layout:{tmp_path / 'images'}"})
    )
    return {
        "LAUREL_CONFIG": str(tmp_path / "laurel.yaml"),
        "LAUREL_SIGNING__PASSWORD": "a password",
        "LAUREL_SOURCE": SOURCE,
    }


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "laurel-1.whl"
    path.write_bytes(b"a wheel")
    return path


def refused(arguments: list[str], environment: dict[str, str]) -> str:
    with pytest.raises(SystemExit) as ended:
        own_release.main(arguments, environment)
    return str(ended.value.code)


def complaints(files: list[Path], environment: dict[str, str]) -> list[str]:
    """Verify files beside an image that is nowhere, and return what is said of the files."""
    first, *rest = refused(["verify", NOWHERE, *map(str, files)], environment).splitlines()
    assert first == f"{NOWHERE} is not in the registry"
    return rest


def test_a_signed_file_verifies_without_the_key_and_says_what_it_was_made_of(
    wheel: Path, key: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    own_release.main(["sign", str(wheel)], key)
    bundle = wheel.with_name("laurel-1.whl.sigstore.json")
    assert capsys.readouterr().out == f"{bundle}\n"
    (wheel.parent / "laurel.key").unlink()
    assert complaints([wheel], key) == []
    envelope = read_bundle(bundle.read_bytes())
    assert not isinstance(envelope, Refused)
    statement = read_statement(envelope.payload)
    assert isinstance(statement, Statement)
    source, lock = statement.predicate["buildDefinition"]["resolvedDependencies"]
    assert (source["uri"], lock["name"]) == (SOURCE, "build.lock")


def test_what_was_signed_otherwise_is_named_each_with_its_reason(
    wheel: Path, key: dict[str, str], tmp_path: Path
) -> None:
    own_release.main(["sign", str(wheel)], key)
    bundle = wheel.with_name("laurel-1.whl.sigstore.json").read_bytes()
    other = tmp_path / "laurel-2.whl"
    other.write_bytes(b"a wheel")
    assert complaints([other], key) == [
        "laurel-2.whl is not signed: laurel-2.whl.sigstore.json is missing"
    ]
    other.with_name("laurel-2.whl.sigstore.json").write_bytes(bundle)
    assert complaints([other], key) == ["laurel-2.whl is not the file that was signed"]
    wheel.write_bytes(b"another wheel")
    assert complaints([wheel], key) == ["laurel-1.whl is not the file that was signed"]
    wheel.with_name("laurel-1.whl.sigstore.json").write_bytes(b"{}")
    assert "the bundle is not a v0.3 key bundle" in complaints([wheel], key)[0]
    (tmp_path / "laurel.key").unlink()
    (tmp_path / "laurel.pub").unlink()
    create_key_file(tmp_path / "laurel.key", "a password")
    assert complaints([other], key) == ["laurel-2.whl is not signed by the key of the trust policy"]


def test_a_statement_of_other_kind_by_our_key_vouches_for_no_file(
    wheel: Path, key: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Statement, "encode", lambda _: b'{"_type": "https://other"}')
    own_release.main(["sign", str(wheel)], key)
    (said,) = complaints([wheel], key)
    assert said.startswith("laurel-1.whl: the statement is not one of in-toto's")


def test_an_image_needs_both_its_signature_and_its_provenance_by_our_key() -> None:
    registry, ours = InMemoryRegistry(), KeyFileSigner(PrivateKey.generate())
    image = bake(registry).built.ref
    policy = TrustPolicy((ours.public_key_pem,), "https://ci.example.com", "http://mlflow")

    def lacks() -> list[str]:
        failed = own_release.what_fails(image, [], registry=registry, policy=policy)
        return [each.split()[3] for each in failed]

    def attested(signer: KeyFileSigner, statement: Statement) -> list[str]:
        bundle = signer.sign_statement(statement.encode())
        attach(image, bundle, statement.predicate_type, registry=registry)
        return lacks()

    signature = signature_statement(image.digest)
    assert lacks() == ["signature", "provenance"]
    stranger = KeyFileSigner(PrivateKey.generate())
    assert attested(stranger, signature) == ["signature", "provenance"]
    assert attested(ours, signature) == ["provenance"]
    assert attested(ours, Statement(image.digest, SLSA_PROVENANCE, {})) == []


@pytest.mark.parametrize("arguments", [[], ["sign"], ["publish", "x"], ["sign", "x"]])
def test_who_asks_for_nothing_that_is_there_is_told_what_is(arguments: list[str]) -> None:
    assert refused(arguments, {}).startswith("say: build FOLDER")


def test_what_does_not_build_is_told_with_the_build_s_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text("[project\n")
    monkeypatch.chdir(tmp_path)
    assert "distribution does not build" in refused(["build", str(tmp_path)], dict(os.environ))
