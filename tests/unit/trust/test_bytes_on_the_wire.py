"""Golden bytes: what cosign, Kyverno and in-toto read must not change by accident."""

import base64
import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters.cosign_signer import KeyFileSigner
from pipeline.domain.chain import Head
from pipeline.domain.evidence import Refused
from pipeline.domain.promotion import Kind
from pipeline.domain.references import Digest
from pipeline.errors import PermanentError
from pipeline.trust.bundle import read_bundle, write_bundle
from pipeline.trust.byproducts import MAX_REQUEST, SmokeRequest
from pipeline.trust.dsse import IN_TOTO, Envelope, pae
from pipeline.trust.keys import PrivateKey
from pipeline.trust.provenance import Invocation, Provenance, read_provenance
from pipeline.trust.shapes import MAX_DOCUMENT
from pipeline.trust.statements import (
    Deployment,
    Statement,
    read_deployment,
    read_statement,
    signature_statement,
)

IMAGE = Digest("sha256:" + "ab" * 32)
KEY = PrivateKey.of(ec.derive_private_key(20260105, ec.SECP256R1()))
PROVENANCE = Provenance(
    registry_url="https://mlflow.corp",
    workspace="",
    model="Fraud scorer",
    version=7,
    repository="ml/fraud",
    platform="linux/amd64",
    runtime="mlserver",
    builder_id="https://laurel.dev/builder/test",
    artifact_digest=Digest("sha256:" + "01" * 32),
    lock_digest=Digest("sha256:" + "02" * 32),
    base_digest=Digest("sha256:" + "03" * 32),
)
INVOCATION = Invocation("p-1", "2026-01-05T09:00:00Z", "0.1.0", "champion", "r-1", "m-1")


def test_pre_authentication_encoding_is_the_one_of_the_specification() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_the_signature_states_what_cosign_states() -> None:
    assert signature_statement(IMAGE).encode() == (
        b'{"_type":"https://in-toto.io/Statement/v1","predicate":{},'
        b'"predicateType":"https://sigstore.dev/cosign/sign/v1",'
        b'"subject":[{"digest":{"sha256":"' + b"ab" * 32 + b'"}}]}'
    )


def test_a_deployment_states_service_sequence_digest_and_kind() -> None:
    deployment = Deployment("fraud", 412, Kind.ROLLBACK)
    assert deployment.statement(IMAGE).encode() == (
        b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"digest":"sha256:'
        + b"ab" * 32
        + b'","kind":"rollback","sequence":412,"service":"fraud"},'
        b'"predicateType":"https://laurel.dev/attestation/deployment/v1",'
        b'"subject":[{"digest":{"sha256":"' + b"ab" * 32 + b'"}}]}'
    )


def test_a_deployment_names_its_environment_where_there_are_several() -> None:
    deployment = Deployment("fraud", 1, Kind.PROMOTION, environment="prod")
    assert deployment.statement(IMAGE).predicate["environment"] == "prod"


def test_a_deployment_states_how_far_its_history_had_come() -> None:
    deployment = Deployment("fraud", 1, Kind.PROMOTION, history=Head(57, "cd" * 32))
    statement = deployment.statement(IMAGE)
    assert statement.predicate["history"] == {"number": 57, "hash": "cd" * 32}
    assert read_deployment(statement) == deployment


@pytest.mark.parametrize(
    "deployment",
    [
        Deployment("fraud", 412, Kind.ROLLBACK),
        Deployment("fraud", 1, Kind.PROMOTION, environment="prod"),
    ],
)
def test_a_deployment_is_read_as_it_was_stated(deployment: Deployment) -> None:
    assert read_deployment(deployment.statement(IMAGE)) == deployment


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sequence": 0}, "sequence"),
        ({"kind": "sabotage"}, "kind"),
        ({"digest": "sha256:" + "00" * 32}, "another image"),
        ({"history": {"number": -1, "hash": "cd" * 32}}, "history.number"),
        ({"history": {"number": 1, "hash": "short"}}, "history.hash"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_deployment_that_laurel_would_not_state_is_not_read(
    change: dict[str, object], why: str
) -> None:
    statement = Deployment("fraud", 1, Kind.PROMOTION).statement(IMAGE)
    refused = read_deployment(replace(statement, predicate=statement.predicate | change))
    assert isinstance(refused, Refused)
    assert why in refused.reason


def test_only_a_deployment_is_read_as_one() -> None:
    refused = read_deployment(signature_statement(IMAGE))
    assert isinstance(refused, Refused)
    assert "cosign/sign" in refused.reason


def test_provenance_has_the_fields_of_slsa_v1() -> None:
    assert PROVENANCE.statement(IMAGE, INVOCATION).predicate == {
        "buildDefinition": {
            "buildType": "https://laurel.dev/build/mlflow-image/v1",
            "externalParameters": {
                "modelUri": "models:/Fraud scorer@champion",
                "registry": "https://mlflow.corp",
                "workspace": "",
                "model": "Fraud scorer",
                "alias": "champion",
                "version": "7",
                "target": {"repository": "ml/fraud"},
                "platforms": ["linux/amd64"],
                "runtime": "mlserver",
            },
            "resolvedDependencies": [
                {
                    "name": "mlflow-model",
                    "uri": "pkg:mlflow/Fraud%20scorer@7?repository_url=https://mlflow.corp",
                    "digest": {"sha256": "01" * 32},
                    "annotations": {"run_id": "r-1", "model_id": "m-1"},
                },
                {"name": "base-image", "digest": {"sha256": "03" * 32}},
                {"name": "requirements.lock", "digest": {"sha256": "02" * 32}},
            ],
        },
        "runDetails": {
            "builder": {
                "id": "https://laurel.dev/builder/test",
                "version": {"laurel": "0.1.0"},
            },
            "metadata": {"invocationId": "p-1", "finishedOn": "2026-01-05T09:00:00Z"},
        },
    }


def test_provenance_of_a_version_asked_for_by_number_has_no_alias() -> None:
    invocation = Invocation("p-1", "2026-01-05T09:00:00Z", "0.1.0", None, None, None)
    definition = PROVENANCE.statement(IMAGE, invocation).predicate["buildDefinition"]
    assert definition["externalParameters"]["modelUri"] == "models:/Fraud scorer/7"
    assert "alias" not in definition["externalParameters"]
    assert definition["resolvedDependencies"][0]["annotations"] == {}


@pytest.mark.parametrize("request_", [None, SmokeRequest.of("{}"), SmokeRequest.of("x" * 131073)])
def test_provenance_reads_back_as_it_was_written(request_: SmokeRequest | None) -> None:
    provenance = replace(PROVENANCE, request=request_)
    assert read_provenance(provenance.statement(IMAGE, INVOCATION).predicate) == provenance


def test_the_request_that_was_answered_is_a_byproduct_of_slsa_v1() -> None:
    provenance = replace(PROVENANCE, request=SmokeRequest.of('{"inputs": [1]}'))
    assert provenance.statement(IMAGE, INVOCATION).predicate["runDetails"]["byproducts"] == [
        {
            "name": "smoke-request",
            "mediaType": "application/json",
            "digest": {"sha256": hashlib.sha256(b'{"inputs": [1]}').hexdigest()},
            "content": "eyJpbnB1dHMiOiBbMV19",
        }
    ]


def test_the_largest_request_fits_into_every_document_that_carries_it() -> None:
    provenance = replace(PROVENANCE, request=SmokeRequest.of("x" * MAX_REQUEST))
    statement = provenance.statement(IMAGE, INVOCATION).encode()
    bundle = KeyFileSigner(KEY).sign_statement(statement)
    assert len(bundle) < 300_000 < MAX_DOCUMENT
    envelope = read_bundle(bundle)
    assert isinstance(envelope, Envelope)
    read = read_statement(envelope.payload)
    assert isinstance(read, Statement)
    assert read_provenance(read.predicate) == provenance


def test_of_a_larger_request_only_the_digest_is_kept() -> None:
    descriptor = SmokeRequest.of("x" * (MAX_REQUEST + 1)).descriptor()
    assert "content" not in descriptor
    assert descriptor["digest"] == {"sha256": hashlib.sha256(b"x" * 131073).hexdigest()}


def test_a_bundle_is_these_bytes() -> None:
    bundle = KeyFileSigner(KEY).sign_statement(signature_statement(IMAGE).encode())
    payload = base64.b64encode(signature_statement(IMAGE).encode()).decode()
    assert bundle.decode() == (
        '{"dsseEnvelope":{"payload":"' + payload + '",'
        '"payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"MEUCIQCe+LseJuWg'
        "iirPEwgcXEKaB5Xj/xfc3qc9s9x01VmhugIgH3+47qsGD9mALewR7xpdwelxL3BONBxvE1XxibjljFk="
        '"}]},'
        '"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",'
        '"verificationMaterial":{"publicKey":'
        '{"hint":"GygnUsbNgf7ohtUBFpJuLtRdW2Lso25olKE7N2HTgqM="},"tlogEntries":[]}}'
    )


def test_a_bundle_of_a_size_that_nobody_reads_is_refused() -> None:
    refused = read_bundle(b" " * (MAX_DOCUMENT + 1))
    assert isinstance(refused, Refused)
    assert "more than 10485760 bytes" in refused.reason


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff", b"null", b'{"a":1}'])
def test_what_is_no_bundle_is_refused_in_few_words(content: bytes) -> None:
    refused = read_bundle(content)
    assert isinstance(refused, Refused)
    assert len(refused.reason) < 300


def test_field_names_of_strangers_are_shown_without_their_control_characters() -> None:
    refused = read_bundle(json.dumps({"\x1b[2J" + "x" * 500: 1}).encode())
    assert isinstance(refused, Refused)
    assert refused.reason.isprintable()
    assert len(refused.reason) < 300


def test_cosigns_older_statements_are_read() -> None:
    statement = json.loads(signature_statement(IMAGE).encode())
    statement["_type"] = "https://in-toto.io/Statement/v0.1"
    statement["subject"][0] |= {"name": "ml/fraud", "annotations": {"a": "b"}}
    assert read_statement(json.dumps(statement).encode()) == signature_statement(IMAGE)


@given(st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_any_statement_survives_signing(kind: str, predicate: dict[str, str | int | None]) -> None:
    statement = Statement(IMAGE, kind, dict(predicate))
    envelope = Envelope(IN_TOTO, statement.encode(), b"signature")
    read = read_bundle(write_bundle(envelope, "hint"))
    assert read == envelope
    assert read_statement(envelope.payload) == statement


@given(st.binary(max_size=200))
def test_no_bytes_make_a_reader_fail(content: bytes) -> None:
    assert isinstance(read_bundle(content), Refused)
    assert isinstance(read_statement(content), Refused)


def test_a_key_pair_whose_halves_do_not_fit_signs_nothing() -> None:
    broken = PrivateKey(PrivateKey.generate().public, KEY._key)
    with pytest.raises(PermanentError, match="its halves do not fit: replace it"):
        KeyFileSigner(broken).sign_statement(signature_statement(IMAGE).encode())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl binary on PATH")
def test_openssl_agrees_with_the_signature(tmp_path: Path) -> None:
    signer = KeyFileSigner(KEY)
    envelope = json.loads(signer.sign_statement(signature_statement(IMAGE).encode()))
    envelope = envelope["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"]
    message = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    (tmp_path / "key.pub").write_bytes(signer.public_key_pem)
    (tmp_path / "signature").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    assert _openssl(tmp_path, message) == "Verified OK"
    assert _openssl(tmp_path, message + b" ") == "Verification failure"


def _openssl(folder: Path, message: bytes) -> str:
    (folder / "message").write_bytes(message)
    command = ["dgst", "-sha256", "-verify", "key.pub", "-signature", "signature", "message"]
    ran = subprocess.run(
        [shutil.which("openssl") or "", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout.splitlines()[0]
