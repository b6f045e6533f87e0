"""One image whose statements were tampered with in every way that a registry allows."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.adapters.cosign_signer import KeyFileSigner
from pipeline.domain.content import Content
from pipeline.domain.evidence import SignedImage
from pipeline.domain.oci import EMPTY_JSON, IMAGE_MANIFEST, SIGSTORE_BUNDLE, Descriptor
from pipeline.domain.policy import TrustPolicy
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.image.manifest import EMPTY, Manifest, parse_manifest
from pipeline.transfer import copy_image
from pipeline.trust.attachments import MAX_REFERRERS, attach
from pipeline.trust.byproducts import MAX_REQUEST, SmokeRequest
from pipeline.trust.shapes import MAX_DOCUMENT
from pipeline.trust.statements import COSIGN_SIGN, SLSA_PROVENANCE, Statement, signature_statement
from pipeline.trust.verifier import Examination, examine
from tests.fakes.baked_image import LABELS, MODEL, bake
from tests.fakes.image_registry import InMemoryRegistry

Doctor = Callable[[dict[str, Any]], object]


class Bench:
    """An image in a registry, and short ways to attach things to it and to look at it."""

    def __init__(
        self, registry: InMemoryRegistry, signer: KeyFileSigner, policy: TrustPolicy
    ) -> None:
        self.registry, self.signer, self.policy = registry, signer, policy
        self.image = bake(registry).built.ref

    def attach(self, bundle: bytes, kind: str = COSIGN_SIGN) -> Digest:
        return attach(self.image, bundle, kind, registry=self.registry)

    def examine(self, image: ImageRef | None = None) -> Examination:
        return examine(image or self.image, registry=self.registry, policy=self.policy, model=MODEL)

    def signature(self) -> bytes:
        return self.signer.sign_statement(signature_statement(self.image.digest).encode())

    def refuses(self, why: str) -> None:
        examination = self.examine()
        assert examination.trusted is None
        assert why in examination.refusal().reason


@pytest.fixture
def bench(registry: InMemoryRegistry, signer: KeyFileSigner, policy: TrustPolicy) -> Bench:
    return Bench(registry, signer, policy)


@pytest.fixture
def complete(signed: SignedImage, bench: Bench) -> Bench:
    assert signed.ref == bench.image
    return bench


def doctored(bundle: bytes, doctor: Doctor) -> bytes:
    read = json.loads(bundle)
    doctor(read)
    return json.dumps(read).encode()


def flipped(text: str) -> str:
    content = bytearray(base64.b64decode(text))
    content[-1] ^= 1
    return base64.b64encode(content).decode()


def referrers_of(bench: Bench) -> list[Descriptor]:
    return bench.registry.listed[bench.image.repository, bench.image.digest]


def remove(bench: Bench, kind: str) -> None:
    listed = referrers_of(bench)
    listed[:] = [d for d in listed if kind not in d.annotations.values()]


def test_accepts_an_image_that_meets_every_requirement(complete: Bench) -> None:
    examination = complete.examine()
    assert examination.trusted is not None
    assert examination.passed_over == ()
    assert [(f.requirement, f.verdict) for f in examination.findings] == [
        ("manifest", "pass"),
        ("layers", "pass"),
        ("labels", "pass"),
        ("signature", "pass"),
        ("provenance", "pass"),
    ]


def test_01_refuses_an_unsigned_image(bench: Bench) -> None:
    bench.refuses("signature: no key of the trust policy signed one that fits; provenance: no key")


def test_02_refuses_a_signature_by_another_key(complete: Bench, stranger: KeyFileSigner) -> None:
    remove(complete, COSIGN_SIGN)
    complete.attach(stranger.sign_statement(signature_statement(complete.image.digest).encode()))
    complete.refuses("no key of the trust policy made its signature")


def _flip_payload(bundle: dict[str, Any]) -> None:
    envelope = bundle["dsseEnvelope"]
    envelope["payload"] = flipped(envelope["payload"])


def _flip_signature(bundle: dict[str, Any]) -> None:
    entry = bundle["dsseEnvelope"]["signatures"][0]
    entry["sig"] = flipped(entry["sig"])


def _empty_signature(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = ""


def _no_signature(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["signatures"] = []


def _second_signature(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["signatures"] *= 2


def _keyid(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["signatures"][0]["keyid"] = "release"


def _unknown_field(bundle: dict[str, Any]) -> None:
    bundle["verificationMaterial"]["comment"] = "hello"


def _payload_type(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["payloadType"] = "application/json"


def _bundle_version(version: str) -> Doctor:
    return lambda bundle: bundle.update(mediaType=version)


def _certificate(bundle: dict[str, Any]) -> None:
    del bundle["verificationMaterial"]["publicKey"]
    bundle["verificationMaterial"]["certificate"] = {"rawBytes": "AAAA"}


def _log_entry(bundle: dict[str, Any]) -> None:
    bundle["verificationMaterial"]["tlogEntries"] = [{"logIndex": "1"}]


def _message_signature(bundle: dict[str, Any]) -> None:
    del bundle["dsseEnvelope"]
    bundle["messageSignature"] = {"messageDigest": {}, "signature": "AAAA"}


def _not_base64(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["payload"] = "not base64"


def _number_for_base64(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["payload"] = 1234


def _not_ascii(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["payload"] = "é"


@pytest.mark.parametrize(
    ("doctor", "why"),
    [
        pytest.param(_flip_payload, "no key of the trust policy made", id="03 payload bit"),
        pytest.param(_flip_signature, "no key of the trust policy made", id="03 signature bit"),
        pytest.param(_empty_signature, "signatures.0.sig", id="03 empty signature"),
        pytest.param(_no_signature, "signatures", id="03 no signature"),
        pytest.param(_payload_type, "payloadType", id="08 payload type"),
        pytest.param(_second_signature, "signatures", id="09 two signatures"),
        pytest.param(_keyid, "signatures.0.keyid", id="10 keyid"),
        pytest.param(_unknown_field, "verificationMaterial.comment", id="10 unknown field"),
        pytest.param(
            _bundle_version("application/vnd.dev.sigstore.bundle+json;version=0.1"),
            "mediaType",
            id="10 v0.1",
        ),
        pytest.param(
            _bundle_version("application/vnd.dev.sigstore.bundle+json;version=0.2"),
            "mediaType",
            id="10 v0.2",
        ),
        pytest.param(_message_signature, "dsseEnvelope", id="10 message signature"),
        pytest.param(_certificate, "publicKey", id="12 certificate instead of a key"),
        pytest.param(_log_entry, "tlogEntries", id="transparency log entry"),
        pytest.param(_not_base64, "dsseEnvelope.payload: Value error, not base64", id="base64"),
        pytest.param(_number_for_base64, "dsseEnvelope.payload", id="a number for base64"),
        pytest.param(_not_ascii, "dsseEnvelope.payload", id="no ASCII for base64"),
    ],
)
def test_refuses_a_doctored_bundle(complete: Bench, doctor: Doctor, why: str) -> None:
    remove(complete, COSIGN_SIGN)
    complete.attach(doctored(complete.signature(), doctor))
    complete.refuses("signature: no key of the trust policy signed one that fits")
    complete.refuses(why)


def test_05_refuses_a_statement_about_another_image(complete: Bench) -> None:
    remove(complete, COSIGN_SIGN)
    other = signature_statement(Digest.of(b"another image")).encode()
    complete.attach(complete.signer.sign_statement(other))
    complete.refuses("its statement is about another image")


def test_06_refuses_a_referrer_of_another_image_in_this_ones_list(complete: Bench) -> None:
    foreign = bake(complete.registry, layers=(b"another",)).built.ref
    remove(complete, COSIGN_SIGN)
    attach(foreign, complete.signature(), COSIGN_SIGN, registry=complete.registry)
    complete.registry.list_referrer(
        complete.image.repository,
        complete.image.digest,
        complete.registry.referrers(foreign.repository, foreign.digest)[0],
    )
    complete.refuses("its manifest belongs to another image")


def test_07_refuses_an_sbom_presented_as_provenance(complete: Bench) -> None:
    remove(complete, SLSA_PROVENANCE)
    sbom = Statement(complete.image.digest, "https://cyclonedx.org/bom", {"bomFormat": "CycloneDX"})
    complete.attach(complete.signer.sign_statement(sbom.encode()), SLSA_PROVENANCE)
    complete.refuses("it states https://cyclonedx.org/bom")


def test_07_refuses_provenance_alone(complete: Bench) -> None:
    remove(complete, COSIGN_SIGN)
    verdicts = {f.requirement: f.verdict for f in complete.examine().findings}
    assert verdicts["signature"] == "fail"
    assert verdicts["provenance"] == "pass"


@pytest.mark.parametrize("others", [["same"], ["foreign"], []])
def test_09_refuses_a_statement_about_more_or_less_than_one_image(
    complete: Bench, others: list[str]
) -> None:
    remove(complete, COSIGN_SIGN)
    statement = json.loads(signature_statement(complete.image.digest).encode())
    subject = statement["subject"][0]
    foreign = {"digest": {"sha256": Digest.of(b"foreign").hex}}
    extra = [subject if other == "same" else foreign for other in others]
    statement["subject"] = [subject, *extra] if others else []
    complete.attach(complete.signer.sign_statement(json.dumps(statement).encode()))
    complete.refuses("the statement is not one of in-toto's about one image (subject")


def test_11_finds_ours_among_foreign_damaged_and_two_hundred_others(
    complete: Bench, stranger: KeyFileSigner
) -> None:
    ours = list(referrers_of(complete))
    referrers_of(complete).clear()
    complete.attach(stranger.sign_statement(signature_statement(complete.image.digest).encode()))
    complete.attach(b"garbage")
    two = complete.registry.push_blob(complete.image.repository, Content.of(b"two"))
    layer = Descriptor(SIGSTORE_BUNDLE, two.digest, two.size)
    push_referrer(complete, Manifest(EMPTY, (layer, layer), {}, SIGSTORE_BUNDLE))
    push_referrer(complete, Manifest(EMPTY, (layer,), {}, None))
    for number in range(200):
        complete.attach(f"foreign {number}".encode(), "https://example.com/scan")
    referrers_of(complete).extend(ours)
    complete.registry.requests = 0

    assert complete.examine().trusted is not None
    assert complete.registry.requests <= 2 * MAX_REFERRERS + 10


@pytest.mark.parametrize(
    ("artifact_type", "layer_types"),
    [
        (SIGSTORE_BUNDLE, [SIGSTORE_BUNDLE, SIGSTORE_BUNDLE]),
        (SIGSTORE_BUNDLE, [EMPTY_JSON]),
        (SIGSTORE_BUNDLE, []),
        (EMPTY_JSON, [SIGSTORE_BUNDLE]),
    ],
)
def test_11_refuses_a_referrer_that_does_not_carry_one_bundle(
    bench: Bench, artifact_type: str, layer_types: list[str]
) -> None:
    blob = bench.registry.push_blob(bench.image.repository, Content.of(bench.signature()))
    layers = tuple(Descriptor(kind, blob.digest, blob.size) for kind in layer_types)
    push_referrer(bench, Manifest(EMPTY, layers, {}, artifact_type))
    bench.refuses("its manifest does not carry exactly one v0.3 bundle")


def push_referrer(bench: Bench, manifest: Manifest) -> None:
    content = bench.registry.manifests[bench.image.repository, bench.image.digest]
    subject = Descriptor(IMAGE_MANIFEST, bench.image.digest, len(content))
    bench.registry.push_manifest(
        bench.image.repository, replace(manifest, subject=subject).to_bytes(), IMAGE_MANIFEST
    )


def test_11_reads_no_more_than_a_bounded_number_and_tells_why_for_a_few(bench: Bench) -> None:
    for number in range(MAX_REFERRERS + 50):
        bench.attach(f"foreign {number}".encode())
    bench.registry.requests = 0
    examination = bench.examine()
    assert examination.trusted is None
    assert len(examination.passed_over) == 11
    assert examination.passed_over[-1] == "and 91 more"
    assert bench.registry.requests <= 2 * MAX_REFERRERS + 10


def test_looks_into_referrers_whose_list_entry_has_lost_its_type(complete: Bench) -> None:
    referrers_of(complete)[:] = [
        replace(d, artifact_type=EMPTY_JSON, annotations={}) for d in referrers_of(complete)
    ]
    assert complete.examine().trusted is not None


def test_does_not_read_referrers_of_other_types(bench: Bench) -> None:
    push_referrer(bench, Manifest(EMPTY, (), {}, "application/vnd.cyclonedx+json"))
    assert bench.examine().passed_over == ()


def test_refuses_referrers_too_large_to_read(complete: Bench) -> None:
    referrers_of(complete)[:] = [replace(d, size=MAX_DOCUMENT + 1) for d in referrers_of(complete)]
    complete.refuses(f"its manifest has {MAX_DOCUMENT + 1} bytes, more than {MAX_DOCUMENT}")


def test_refuses_a_bundle_too_large_to_read(bench: Bench) -> None:
    huge = Descriptor(SIGSTORE_BUNDLE, Digest.of(b"huge"), MAX_DOCUMENT + 1)
    push_referrer(bench, Manifest(EMPTY, (huge,), {}, SIGSTORE_BUNDLE))
    bench.refuses(f"{MAX_DOCUMENT + 1} bytes, more than {MAX_DOCUMENT}")


def test_stops_reading_a_blob_that_is_longer_than_its_descriptor_says(bench: Bench) -> None:
    bench.attach(b"a bundle of quite some length")
    short = Descriptor(SIGSTORE_BUNDLE, Digest.of(b"a bundle of quite some length"), 3)
    push_referrer(bench, Manifest(EMPTY, (short,), {}, SIGSTORE_BUNDLE))
    bench.refuses("the registry gave other bytes")


def test_refuses_a_referrer_whose_bundle_is_not_there(complete: Bench) -> None:
    for descriptor in referrers_of(complete):
        key = complete.image.repository, descriptor.digest
        layer = parse_manifest(complete.registry.manifests[key]).layers[0]
        del complete.registry.blobs[complete.image.repository, layer.digest]
    complete.refuses("could not read a blob")


def test_refuses_a_referrer_whose_manifest_is_not_there(complete: Bench) -> None:
    for descriptor in referrers_of(complete):
        del complete.registry.manifests[complete.image.repository, descriptor.digest]
    complete.refuses("there is no manifest")


def test_17_refuses_other_bytes_for_the_images_digest(complete: Bench) -> None:
    other = bake(complete.registry, layers=(b"evil",)).built.ref
    manifests = complete.registry.manifests
    manifests[complete.image.repository, complete.image.digest] = manifests[
        other.repository, other.digest
    ]
    complete.refuses("manifest: the registry gave other bytes for")


def test_17_refuses_other_bytes_for_the_configuration(complete: Bench) -> None:
    content = complete.registry.manifests[complete.image.repository, complete.image.digest]
    config = parse_manifest(content).config
    complete.registry.blobs[complete.image.repository, config.digest] = b"{}"
    complete.refuses("labels: the registry gave other bytes for")


def test_17_refuses_other_bytes_for_a_referrer(complete: Bench) -> None:
    for descriptor in referrers_of(complete):
        complete.registry.manifests[complete.image.repository, descriptor.digest] = b"{}"
    complete.refuses("the registry gave other bytes for")


def test_17_refuses_layers_that_are_missing_or_of_another_size(complete: Bench) -> None:
    content = complete.registry.manifests[complete.image.repository, complete.image.digest]
    key = complete.image.repository, parse_manifest(content).layers[1].digest
    complete.registry.blobs[key] += b"more"
    complete.refuses("has 15 bytes, its manifest says 11")
    del complete.registry.blobs[key]
    complete.refuses("is not in the registry: build the image again")


@pytest.mark.parametrize("count", [0, 128])
def test_refuses_images_with_no_layers_or_too_many(bench: Bench, count: int) -> None:
    layers = tuple(str(number).encode() for number in range(count))
    bench.image = bake(bench.registry, layers=layers).built.ref
    bench.refuses(f"layers: it has {count} layers, allowed are 1 to 127")


def test_21_refuses_an_image_copied_from_another_repository(complete: Bench) -> None:
    registry, source = complete.registry, complete.image
    for store in (registry.blobs, registry.manifests):
        copied = {("prod/fraud", digest): content for (_, digest), content in store.items()}
        store.update(copied)
    registry.listed["prod/fraud", source.digest] = list(referrers_of(complete))
    complete.image = ImageRef("prod/fraud", source.digest)
    complete.refuses("its repository is ml/fraud, wanted is prod/fraud")


def test_23_refuses_an_index(bench: Bench) -> None:
    index = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
    digest = bench.registry.push_manifest(
        "ml/fraud", index, "application/vnd.oci.image.index.v1+json"
    )
    bench.image = ImageRef("ml/fraud", digest)
    bench.refuses("manifest: could not read an image manifest")


@pytest.mark.usefixtures("socket_disabled")
def test_24_asks_nobody_but_the_registry(complete: Bench) -> None:
    assert complete.examine().trusted is not None


def test_refuses_an_image_that_is_not_there(bench: Bench) -> None:
    bench.image = ImageRef("ml/fraud", Digest.of(b"nothing"))
    bench.refuses("manifest: there is no manifest sha256:")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"registry_url": "https://other.example"}, "its registry_url is http://127.0.0.1:5000"),
        ({"builder_id": "https://laurel.dev/builder/prod"}, "its builder_id is"),
    ],
)
def test_refuses_provenance_for_another_policy(
    complete: Bench, change: dict[str, str], why: str
) -> None:
    fields = {
        "builder_id": complete.policy.builder_id,
        "registry_url": complete.policy.registry_url,
    } | change
    complete.policy = TrustPolicy(complete.policy.keys, **fields)
    complete.refuses(why)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (ModelVersion("fraud", 8), "labels: they name fraud/7, wanted is fraud/8"),
        (ModelVersion("frauds", 7), "labels: they name fraud/7, wanted is frauds/7"),
        (
            ModelVersion("fraud", 7, "b"),
            "labels: they name fraud/7, wanted is fraud/7 of workspace b",
        ),
    ],
)
def test_refuses_another_model_version(complete: Bench, model: ModelVersion, why: str) -> None:
    examination = examine(
        complete.image, registry=complete.registry, policy=complete.policy, model=model
    )
    assert examination.trusted is None
    assert why in examination.refusal().reason


def test_takes_the_images_word_for_its_model_where_nobody_asked_for_one(complete: Bench) -> None:
    examination = examine(complete.image, registry=complete.registry, policy=complete.policy)
    assert examination.trusted is not None
    assert examination.trusted.labels.model == "fraud"


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({}, "has no label dev.laurel.model.name: Laurel did not build it"),
        (LABELS | {"dev.laurel.model.version": "x"}, "'x' is not a model version"),
        (LABELS | {"dev.laurel.lock.digest": "x"}, "'x' is not a digest"),
    ],
)
def test_refuses_labels_that_are_not_laurels(
    bench: Bench, labels: dict[str, str], why: str
) -> None:
    bench.image = bake(bench.registry, labels=labels).built.ref
    bench.refuses(why)


def test_the_workspace_of_the_labels_is_the_one_of_provenance(complete: Bench) -> None:
    labels = LABELS | {"dev.laurel.model.workspace": "team-b"}
    image = bake(complete.registry, labels=labels).built.ref
    provenance = signed_provenance(complete)
    complete.image = image
    attest_provenance(complete, provenance)
    complete.attach(complete.signature())
    examination = examine(image, registry=complete.registry, policy=complete.policy)
    assert examination.trusted is None
    assert "its workspace is , wanted is team-b" in examination.refusal().reason


def test_labels_and_provenance_must_tell_the_same(complete: Bench) -> None:
    remove(complete, SLSA_PROVENANCE)
    provenance = signed_provenance(complete)
    dependencies = provenance["buildDefinition"]["resolvedDependencies"]
    dependencies[2]["digest"]["sha256"] = Digest.of(b"another lock").hex
    attest_provenance(complete, provenance)
    complete.refuses("its lock_digest is sha256:")


def _unknown_parameter(predicate: dict[str, Any]) -> None:
    predicate["buildDefinition"]["externalParameters"]["skip"] = True


def _another_build_type(predicate: dict[str, Any]) -> None:
    predicate["buildDefinition"]["buildType"] = "https://example.com/build"


def _twice(predicate: dict[str, Any]) -> None:
    predicate["buildDefinition"]["resolvedDependencies"] *= 2


@pytest.mark.parametrize(
    ("doctor", "why"),
    [
        (_unknown_parameter, "externalParameters.skip"),
        (_another_build_type, "buildDefinition.buildType"),
        (_twice, "lists mlflow-model 2 times instead of once"),
    ],
)
def test_refuses_provenance_that_laurel_would_not_write(
    complete: Bench, doctor: Doctor, why: str
) -> None:
    remove(complete, SLSA_PROVENANCE)
    provenance = signed_provenance(complete)
    doctor(provenance)
    attest_provenance(complete, provenance)
    complete.refuses(why)


def _byproduct(**changes: object) -> Doctor:
    def doctor(predicate: dict[str, Any]) -> None:
        predicate["runDetails"]["byproducts"][0] |= changes

    return doctor


def _two_requests(predicate: dict[str, Any]) -> None:
    predicate["runDetails"]["byproducts"] *= 2


def _another_digest(predicate: dict[str, Any]) -> None:
    predicate["runDetails"]["byproducts"][0]["digest"]["sha256"] = "00" * 32


def _too_large(predicate: dict[str, Any]) -> None:
    large = b"x" * (MAX_REQUEST + 1)
    predicate["runDetails"]["byproducts"][0] |= _descriptor(large)


def _no_text(predicate: dict[str, Any]) -> None:
    predicate["runDetails"]["byproducts"][0] |= _descriptor(b"\xff")


def _descriptor(content: bytes) -> dict[str, Any]:
    digest = {"sha256": Digest.of(content).hex}
    return {"content": base64.b64encode(content).decode(), "digest": digest}


@pytest.mark.parametrize(
    ("doctor", "why"),
    [
        (_another_digest, "smoke-request is not the one of its digest 000000000000"),
        (_byproduct(content="not base64"), "smoke-request is not one of Laurel's (content"),
        (_byproduct(content=7), "smoke-request is not one of Laurel's (content: Value error"),
        (_byproduct(uri="https://example.com"), "smoke-request is not one of Laurel's (uri"),
        (_byproduct(mediaType="text/html"), "smoke-request is not one of Laurel's (mediaType"),
        (_byproduct(digest={"md5": "0"}), "smoke-request is not one of Laurel's (digest"),
        (_two_requests, "the provenance lists smoke-request 2 times"),
        (_too_large, "smoke-request has 131073 bytes, most is 131072"),
        (_no_text, "smoke-request is no text"),
    ],
)
def test_refuses_a_smoke_request_that_laurel_would_not_write(
    complete: Bench, doctor: Doctor, why: str
) -> None:
    remove(complete, SLSA_PROVENANCE)
    provenance = signed_provenance(complete)
    doctor(provenance)
    attest_provenance(complete, provenance)
    complete.refuses(why)


@pytest.mark.parametrize(
    ("byproducts", "request_"),
    [
        ([{"name": "build.log", "content": 7}], None),
        ([], None),
        (
            [SmokeRequest.of("{}").descriptor(), {"digest": {"sha256": "?"}}],
            SmokeRequest.of("{}"),
        ),
    ],
    ids=["another's", "none", "among others"],
)
def test_the_smoke_request_is_read_back_and_other_byproducts_are_passed_over(
    complete: Bench, byproducts: list[dict[str, Any]], request_: SmokeRequest | None
) -> None:
    remove(complete, SLSA_PROVENANCE)
    provenance = signed_provenance(complete)
    provenance["runDetails"]["byproducts"] = byproducts
    attest_provenance(complete, provenance)
    trusted = complete.examine().trusted
    assert trusted is not None
    assert trusted.request == request_


def test_provenance_of_before_there_were_byproducts_is_still_provenance(complete: Bench) -> None:
    remove(complete, SLSA_PROVENANCE)
    provenance = signed_provenance(complete)
    del provenance["runDetails"]["byproducts"]
    attest_provenance(complete, provenance)
    trusted = complete.examine().trusted
    assert trusted is not None
    assert trusted.request is None


def signed_provenance(bench: Bench) -> dict[str, Any]:
    for (repository, _), blob in bench.registry.blobs.items():
        if repository == bench.image.repository and b"dsseEnvelope" in blob:
            payload = base64.b64decode(json.loads(blob)["dsseEnvelope"]["payload"])
            statement = json.loads(payload)
            if statement["predicateType"] == SLSA_PROVENANCE:
                predicate: dict[str, Any] = statement["predicate"]
                return predicate
    raise AssertionError("the image has no provenance")


def attest_provenance(bench: Bench, predicate: dict[str, Any]) -> None:
    statement = Statement(bench.image.digest, SLSA_PROVENANCE, predicate)
    bench.attach(bench.signer.sign_statement(statement.encode()), SLSA_PROVENANCE)


@pytest.mark.parametrize(
    ("copy_from", "trusted"),
    [((), False), (("third/fraud",), False), (("third/fraud", "ml/fraud"), True)],
    ids=["nowhere", "elsewhere", "where it was made"],
)
def test_a_copy_counts_only_where_copies_may_come_from(
    complete: Bench, copy_from: tuple[str, ...], *, trusted: bool
) -> None:
    copy = copy_image(complete.image, "prod/fraud", registry=complete.registry)
    examination = examine(
        copy, registry=complete.registry, policy=complete.policy, copy_from=copy_from
    )
    assert (examination.trusted is not None) == trusted
    if not trusted:
        wanted = " or ".join(("prod/fraud", *copy_from))
        assert f"its repository is ml/fraud, wanted is {wanted}" in examination.refusal().reason
