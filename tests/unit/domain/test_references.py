"""Names are parsed once, at the edge; what cannot be parsed is told how it is written."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.references import (
    Alias,
    BaseRef,
    Digest,
    ImageRef,
    ModelVersion,
    model_slug,
    parse_version,
    require_repository,
    require_service_name,
    without_credentials,
)
from pipeline.errors import InvalidReferenceError

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(HEX, st.sampled_from(["ml/fraud", "fraud", "registry.example.com:5000/ml/fraud", "a_b-c.d"]))
def test_an_image_reads_as_it_is_written(digits: str, repository: str) -> None:
    image = ImageRef(repository, Digest(f"sha256:{digits}"))
    assert ImageRef.parse(str(image)) == image
    assert image.digest.hex == digits
    assert digits.startswith(image.digest.short)


@given(st.binary(max_size=100))
def test_equal_bytes_have_one_digest(content: bytes) -> None:
    assert Digest.of(content) == Digest.of(bytes(content))
    assert Digest.of(content) != Digest.of(content + b"x")


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:" + "A" * 64, "md5:" + "a" * 64, "a" * 64])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidReferenceError, match="64 lower-case hex digits"):
        Digest(text)


def test_a_tag_is_no_reference() -> None:
    with pytest.raises(InvalidReferenceError, match="tags move"):
        ImageRef.parse("ml/fraud:latest")


@pytest.mark.parametrize("name", ["", "ML/fraud", "a//b", "../x", "a/../b", "/a", "a/", "a b"])
def test_what_is_no_repository_is_refused(name: str) -> None:
    with pytest.raises(InvalidReferenceError, match="is not a repository name"):
        require_repository(name)


@pytest.mark.parametrize(("text", "version"), [("2", 2), ("02", 2), (7, 7)])
def test_a_version_is_a_number_however_callers_write_it(text: str | int, version: int) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize("text", ["", "0", "-1", "1.0", "٣", "9" * 19, "1 "])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidReferenceError, match="whole number from 1"):
        parse_version(text)


@pytest.mark.parametrize("name", ["a", "fraud-eu-2", "a" * 63])
def test_a_service_has_a_dns_labels_name(name: str) -> None:
    assert require_service_name(name) == name


@pytest.mark.parametrize("name", ["", "Fraud", "-a", "a-", "2a", "a.b", "a" * 64])
def test_what_is_no_dns_label_names_no_service(name: str) -> None:
    with pytest.raises(InvalidReferenceError, match="use a DNS label"):
        require_service_name(name)


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_two_models_share_a_slug(one: str, other: str) -> None:
    assert (model_slug(one) == model_slug(other)) == (one == other)


@given(st.text(min_size=1))
def test_a_slug_is_fit_for_repositories_and_its_own_slug_is_another(name: str) -> None:
    slug = model_slug(name)
    assert require_repository(slug) == slug
    assert re.fullmatch(r"[a-z0-9-]{1,63}", slug)
    assert slug == name or model_slug(slug) != slug


def test_plain_names_stay_as_they_are() -> None:
    assert model_slug("fraud-scorer") == "fraud-scorer"
    assert model_slug("Betrugs Prüfer!").startswith("betrugs-pr-fer-x")


def test_references_print_as_people_write_them() -> None:
    assert str(ModelVersion("fraud", 3)) == "fraud/3"
    assert str(Alias("fraud", "champion")) == "fraud@champion"


@pytest.mark.parametrize(
    ("written", "name", "repository"),
    [
        ("python", "python", "docker.io/library/python"),
        ("python:3.11-slim", "python", "docker.io/library/python"),
        ("docker.io/python:3", "docker.io/python", "docker.io/library/python"),
        ("bitnami/python", "bitnami/python", "docker.io/bitnami/python"),
        ("gcr.io/distroless/python3", "gcr.io/distroless/python3", "gcr.io/distroless/python3"),
        ("localhost/python:a_B.1", "localhost/python", "localhost/python"),
        ("[::1]:5000/python", "[::1]:5000/python", "[::1]:5000/python"),
        ("host:5000/a/b:x", "host:5000/a/b", "host:5000/a/b"),
    ],
)
def test_a_base_is_named_as_docker_names_images(written: str, name: str, repository: str) -> None:
    digest = Digest.of(b"base")
    base = BaseRef.parse(f"{written}@{digest}")
    assert (base.name, base.repository, base.digest) == (name, repository, digest)
    assert str(base) == f"{name}@{digest}"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            "python:3.11-slim",
            r"write python:3\.11-slim@sha256:… \(`crane digest python:3\.11-slim`",
        ),
        ("", "names no digest"),
        ("Host", "or host"),
        ("python@sha256:0", "64 lower-case hex digits"),
        ("python@", "is not a digest"),
        (f"Python@{Digest.of(b'')}", "is not a repository name"),
        (f"python:@{Digest.of(b'')}", "is not a tag"),
        (f":3@{Digest.of(b'')}", "is not a repository name"),
        (f"python:-@{Digest.of(b'')}", "'-' is not a tag"),
        (f"../python@{Digest.of(b'')}", "is not a repository name"),
    ],
)
def test_what_is_no_base_is_refused_with_what_to_write(written: str, message: str) -> None:
    with pytest.raises(InvalidReferenceError, match=message):
        BaseRef.parse(written)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("models:/m-256b", "models:/m-256b"),
        ("models:/fraud scorer/2", "models:/fraud scorer/2"),
        ("s3://bucket/a b/%2F@x", "s3://bucket/a b/%2F@x"),
        ("mlflow-artifacts:/1/models/m-1/artifacts", "mlflow-artifacts:/1/models/m-1/artifacts"),
        ("file:///var/lib/mlflow", "file:///var/lib/mlflow"),
        ("/var/lib/what?#", "/var/lib/what?#"),
        ("mlruns/0/model", "mlruns/0/model"),
        ("ftp://ada:p%40ss@host:21/models", "ftp://host:21/models"),
        ("ftp://ada:p@ss@host/models", "ftp://host/models"),
        ("https://a-token@host/models", "https://host/models"),
        ("https://host/m?sig=secret#secret", "https://host/m"),
        ("https://host?sig=secret", "https://host"),
        ("wasbs://files@a.blob.example/m?sig=secret", "wasbs://files@a.blob.example/m"),
        ("abfss://files:secret@a.dfs.example/m", "abfss://a.dfs.example/m"),
        ("dbfs://profile@databricks/m", "dbfs://profile@databricks/m"),
        ("", ""),
    ],
)
def test_a_uri_is_shown_without_what_is_secret_in_it(written: str, shown: str) -> None:
    assert without_credentials(written) == shown


@given(st.from_regex(r"[a-z]{2,6}://X:X@[a-z.]{1,9}(/[a-z@]*)?([?#]X)?", fullmatch=True))
def test_no_user_password_or_query_is_ever_shown(uri: str) -> None:
    shown = without_credentials(uri)
    assert "X" not in shown
    assert without_credentials(shown) == shown
