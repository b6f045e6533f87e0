"""What an engine says decides who has to do something: its status rarely does."""

import pytest

from pipeline.adapters.docker_errors import fault, unreachable
from pipeline.errors import (
    ForbiddenError,
    NotFoundError,
    PermanentError,
    StepError,
    UnavailableError,
)

HOST = "unix:///var/run/docker.sock"
SAID: list[tuple[int, str, type[StepError]]] = [
    (500, "write /var/lib/docker/tmp/x: no space left on device", PermanentError),
    (
        500,
        "Get https://registry.example.com/v2/: unauthorized: authentication required",
        ForbiddenError,
    ),
    (
        404,
        "pull access denied for ml/base, repository does not exist or may require 'docker login'",
        ForbiddenError,
    ),
    (403, "no", ForbiddenError),
    (500, "manifest for ml/base@sha256:00 not found: manifest unknown", NotFoundError),
    (404, "whatever", NotFoundError),
    (500, "dial tcp: lookup registry.example.com: no such host", UnavailableError),
    (500, "received unexpected HTTP status: 503 Service Unavailable", UnavailableError),
    (0, "toomanyrequests: You have reached your pull rate limit", UnavailableError),
    (500, "x509: certificate signed by unknown authority", PermanentError),
]


@pytest.mark.parametrize(("status", "message", "kind"), SAID)
def test_words_of_the_engine_become_the_error_that_helps(
    status: int, message: str, kind: type[StepError]
) -> None:
    error = fault("pull a base", HOST, message, status)
    assert type(error) is kind
    assert HOST in str(error)
    assert message in str(error)


def test_a_long_answer_is_cut() -> None:
    assert len(str(fault("build", HOST, "x " * 10_000))) < 1000


def test_an_engine_that_is_away_is_named_with_the_variable() -> None:
    error = unreachable(HOST, OSError("Connection aborted\n  by peer"))
    assert "Connection aborted by peer" in str(error)
    assert "DOCKER_HOST" in str(error)
