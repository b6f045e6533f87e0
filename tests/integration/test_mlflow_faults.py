"""Every bad day of an MLflow server, and the one error that each becomes."""

from collections.abc import Iterator

import pytest

from pipeline.adapters.mlflow_artifacts import MlflowArtifacts
from pipeline.adapters.mlflow_registry import MlflowRegistry
from pipeline.adapters.mlflow_rest import Credentials, MlflowRest
from pipeline.domain.evidence import Refused, StoredFile
from pipeline.domain.references import Alias
from pipeline.errors import (
    ConfigurationError,
    CorruptedError,
    ForbiddenError,
    NotFoundError,
    PermanentError,
    RateLimitedError,
    UnavailableError,
)
from tests.servers.scripted import Scripted, scripted_server

CHAMPION = Alias("fraud", "champion", workspace="team-a")
MODEL = "mlflow-artifacts:/workspaces/team-a/0/models/m-1/artifacts"


@pytest.fixture
def script() -> Iterator[Scripted]:
    with scripted_server() as script:
        yield script


@pytest.fixture
def rest(script: Scripted) -> Iterator[MlflowRest]:
    rest = MlflowRest(script.url, Credentials.basic("ada", "secret"))
    yield rest
    rest.close()


@pytest.mark.parametrize(
    ("status", "error", "hint"),
    [
        (401, ForbiddenError, "LAUREL_MLFLOW__USERNAME"),
        (403, ForbiddenError, "READ on the model"),
        (429, RateLimitedError, "fewer requests"),
        (500, UnavailableError, "look at its log"),
        (503, UnavailableError, "look at its log"),
        (302, PermanentError, "redirects"),
        (400, PermanentError, "400"),
        (404, PermanentError, "404"),
    ],
)
def test_a_status_becomes_the_error_that_says_what_to_do(
    script: Scripted, rest: MlflowRest, status: int, error: type[Exception], hint: str
) -> None:
    script.says(status, b"no JSON", Location="http://127.0.0.1:9/", Retry_After="7")
    with pytest.raises(error, match=hint) as caught:
        MlflowRegistry(rest).alias(CHAMPION)
    assert "fraud@champion" in str(caught.value)
    assert getattr(caught.value, "retry_after", 7.0) == 7.0
    assert len(script.heard) == 1


def test_an_http_date_in_retry_after_is_no_number(script: Scripted, rest: MlflowRest) -> None:
    script.says(503, {}, Retry_After="Fri, 31 Dec 2027 23:59:59 GMT")
    with pytest.raises(UnavailableError) as caught:
        MlflowRegistry(rest).alias(CHAMPION)
    assert caught.value.retry_after is None


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"[]", b""])
def test_an_answer_that_is_not_mlflows_says_to_look_at_the_url(
    script: Scripted, rest: MlflowRest, body: bytes
) -> None:
    script.says(200, body)
    with pytest.raises(PermanentError, match=r"does mlflow\.url lead to MLflow"):
        MlflowRegistry(rest).alias(CHAMPION)


def test_an_answer_is_read_only_so_far(
    script: Scripted, rest: MlflowRest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.adapters.mlflow_rest._LARGEST_ANSWER", 10)
    script.says(200, {"registered_models": []})
    with pytest.raises(PermanentError):
        MlflowRegistry(rest).aliases("")


def test_a_server_that_is_down_is_unavailable() -> None:
    with scripted_server() as gone:
        rest = MlflowRest(gone.url)
    with pytest.raises(UnavailableError, match="does not answer"):
        MlflowRegistry(rest).alias(CHAMPION)
    rest.close()


def test_an_answer_that_breaks_off_is_unavailable(script: Scripted, rest: MlflowRest) -> None:
    script.says(200, {"registered_models": []})
    script.length = 1000
    with pytest.raises(UnavailableError):
        MlflowRegistry(rest).aliases("")


def test_the_workspace_and_the_credentials_are_sent(script: Scripted, rest: MlflowRest) -> None:
    script.says(200, {"model_version": {"version": "2"}})
    assert MlflowRegistry(rest).alias(CHAMPION) == 2
    [(_, headers)] = script.heard
    assert headers["X-MLFLOW-WORKSPACE"] == "team-a"
    assert headers["Authorization"] == "Basic YWRhOnNlY3JldA=="


def test_a_token_is_sent_as_bearer_and_no_credential_is_ever_printed(script: Scripted) -> None:
    credentials = Credentials.bearer("secret")
    rest = MlflowRest(script.url, credentials)
    script.says(401)
    with pytest.raises(ForbiddenError) as caught:
        MlflowRegistry(rest).aliases("")
    rest.close()
    assert script.heard[0][1]["Authorization"] == "Bearer secret"
    assert "X-MLFLOW-WORKSPACE" not in script.heard[0][1]
    assert "secret" not in f"{credentials!r} {rest!r} {caught.value!r}"


@pytest.mark.parametrize(
    "url",
    ["http://ada:secret@mlflow.example", "ftp://mlflow.example", "mlflow", "http://[x", "http://"],
)
def test_a_url_that_cannot_be_used_is_a_mistake_in_the_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mlflow\.url") as caught:
        MlflowRest(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "..\\x", "a\0b"])
def test_a_listing_with_a_name_that_leads_elsewhere_refuses_the_model(
    script: Scripted, rest: MlflowRest, name: str
) -> None:
    script.says(200, {"files": [{"path": name, "is_dir": False, "file_size": "1"}]})
    assert isinstance(MlflowArtifacts(rest).files(MODEL), Refused)


def test_a_listing_that_never_ends_refuses_the_model(script: Scripted, rest: MlflowRest) -> None:
    script.says(200, {"files": [{"path": "loop", "is_dir": True}]})
    refused = MlflowArtifacts(rest).files(MODEL)
    assert isinstance(refused, Refused)
    assert "deeper than 32 folders" in refused.reason


def test_artifacts_of_a_workspace_are_asked_for_in_it(script: Scripted, rest: MlflowRest) -> None:
    script.says(200, {"files": []})
    assert MlflowArtifacts(rest).files(MODEL) == ()
    assert script.heard[0][1]["X-MLFLOW-WORKSPACE"] == "team-a"


def test_a_file_that_mlflow_has_not_is_not_found(script: Scripted, rest: MlflowRest) -> None:
    script.says(404, {})
    with pytest.raises(NotFoundError):
        list(MlflowArtifacts(rest).read(MODEL, StoredFile("MLmodel", 1)))


def test_a_download_longer_than_listed_is_cut_off(script: Scripted, rest: MlflowRest) -> None:
    script.says(200, b"x" * 100)
    stream = MlflowArtifacts(rest).read(MODEL, StoredFile("MLmodel", 10))
    with pytest.raises(CorruptedError):
        list(stream)
