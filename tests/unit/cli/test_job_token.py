"""Who a job of GitHub Actions is, asked of a real issuer."""

from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from pipeline.cli.job_token import JobToken, job_token
from pipeline.errors import ConfigurationError, UnavailableError
from tests.servers.oidc_issuer import Answer, Issuer, running_issuer
from tests.unit.cli.conftest import Served, laurel

SERVER = "https://laurel.example.com"
ASKED = "/token?api-version=2.0&audience=laurel.example.com"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


def lent(issuer: Issuer, server: str = SERVER, **environment: str) -> JobToken:
    found = job_token(issuer.job | environment, server)
    assert found is not None
    return found


def audience(token: str) -> object:
    return jwt.decode(token, options={"verify_signature": False})["aud"]


def test_every_change_gets_a_token_of_its_own(issuer: Issuer) -> None:
    job = lent(issuer)
    assert len({job.to_change() for _ in range(3)}) == 3


def test_reading_goes_on_with_the_same_one_until_it_is_about_to_end(issuer: Issuer) -> None:
    job = lent(issuer)
    assert len({job.to_read() for _ in range(3)}) == 1
    assert job.to_change() == job.to_read()
    assert len(issuer.minted) == 2
    issuer.lasting = 59
    assert job.to_change() != job.to_read()
    assert len(issuer.minted) == 4


def test_it_is_for_the_server_s_name_or_for_whom_the_job_says(issuer: Issuer) -> None:
    assert audience(lent(issuer, "https://laurel.example.com:8443/x").to_read()) == (
        "laurel.example.com"
    )
    assert audience(lent(issuer, LAUREL_AUDIENCE="a b&c=d").to_read()) == "a b&c=d"


@pytest.mark.parametrize(
    "missing", ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
)
def test_elsewhere_there_is_none(issuer: Issuer, missing: str) -> None:
    assert job_token(issuer.job | {missing: ""}, SERVER) is None
    assert job_token({}, SERVER) is None


@pytest.mark.parametrize("server", ["http://laurel.example.com", "ftp://x", "laurel"])
def test_it_never_travels_in_the_clear(issuer: Issuer, server: str) -> None:
    with pytest.raises(ConfigurationError, match="over https alone"):
        job_token(issuer.job, server)
    elsewhere = issuer.job | {"ACTIONS_ID_TOKEN_REQUEST_URL": "http://example.com/token"}
    with pytest.raises(ConfigurationError, match="over https alone"):
        job_token(elsewhere, SERVER)


@pytest.mark.parametrize(
    "answer",
    [
        *(Answer({}, 401), Answer({}, 404), Answer({"value": 7}), Answer([]), Answer(b"<html>")),
        Answer({"value": "a.b.c"}, 302, {"Location": "/elsewhere"}),
        Answer(b'{"value": "' + b"x" * (1 << 17) + b'"}'),
    ],
    ids=str,
)
def test_a_job_that_may_not_ask_is_told_what_it_needs(issuer: Issuer, answer: Answer) -> None:
    issuer.answers[ASKED] = answer
    with pytest.raises(ConfigurationError, match="id-token: write"):
        lent(issuer).to_read()
    assert issuer.asked == [ASKED]


def test_a_github_that_is_away_is_asked_three_times(issuer: Issuer) -> None:
    job = lent(issuer)
    issuer.answers[ASKED] = Answer({}, 503)
    with pytest.raises(UnavailableError, match="it answers 503"):
        job.to_read()
    assert issuer.asked == [ASKED] * 3
    issuer.down()
    with pytest.raises(UnavailableError, match="does not answer"):
        job.to_change()


@pytest.mark.parametrize("token", ["no token", "a.!.c", "a.bnVsbA.c", "a.e30.c"])
def test_one_whose_end_cannot_be_read_is_asked_for_each_time(issuer: Issuer, token: str) -> None:
    issuer.answers[ASKED] = Answer({"value": token})
    job = lent(issuer)
    assert [job.to_read(), job.to_read()] == [token, token]
    assert len(issuer.asked) == 2


def test_a_verb_in_a_job_says_who_it_is_and_a_set_token_goes_first(
    issuer: Issuer, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (issuer.job | {"LAUREL_SERVER": served.url}).items():
        monkeypatch.setenv(name, value)
    for verb in (["status"], ["promote", "fraud-scorer@champion"]):
        result = laurel(*verb)  # this server believes no issuer
        assert (result.exit_code, "ask the server" in result.stderr) == (2, True)
    assert len(issuer.minted) == 2
    monkeypatch.setenv("LAUREL_TOKEN", Path("laurel.token").read_text().strip())
    assert laurel("status").exit_code == 0
    assert len(issuer.minted) == 2
