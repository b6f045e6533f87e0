"""WWW-Authenticate, as RFC 9110 has it and as registries send it."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.distribution.challenges import Challenge, challenges, usable

_TOKENS = st.text(string.ascii_lowercase + string.digits + "!#$%&'*+.^_`|~-", min_size=1)
_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.just("\u00e9"))
_CHALLENGES = st.builds(Challenge, _TOKENS, st.dictionaries(_TOKENS, _VALUES, max_size=4))


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _written(challenge: Challenge) -> str:
    parameters = ", ".join(f"{name}={_quoted(v)}" for name, v in challenge.parameters.items())
    return f"{challenge.scheme} {parameters}".strip()


@given(st.lists(_CHALLENGES, min_size=1, max_size=4), st.booleans())
def test_every_challenge_is_read_as_it_was_written(
    given: list[Challenge],
    together: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    written = [_written(challenge) for challenge in given]
    headers = [", ".join(written)] if together else written
    assert list(challenges(headers)) == given


@given(st.lists(st.text()))
def test_no_header_breaks_the_reading_of_challenges(headers: list[str]) -> None:
    for challenge in challenges(headers):
        assert challenge.scheme == challenge.scheme.lower()


@given(st.lists(st.sampled_from(["Basic", "bearer", "realm", "=", '"', "\\", ",", " ", "a68=="])))
def test_no_mixture_of_its_parts_breaks_the_reading_of_challenges(parts: list[str]) -> None:
    assert all(challenge.scheme for challenge in challenges(["".join(parts)]))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://auth.example.com/token",service="r",scope="repository:a:pull,push"',
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.example.com/token",
                        "service": "r",
                        "scope": "repository:a:pull,push",
                    },
                )
            ],
        ),
        ("BASIC REALM=Nexus", [("basic", {"realm": "Nexus"})]),
        (
            'Basic realm = "a, b" , Bearer realm=c',
            [("basic", {"realm": "a, b"}), ("bearer", {"realm": "c"})],
        ),
        ("Negotiate, Basic realm=x", [("negotiate", {}), ("basic", {"realm": "x"})]),
        ("Negotiate YWJj==, Basic", [("negotiate", {}), ("basic", {})]),
        (
            "Bearer realm=https://a.example.com/t?x=1,service=s",
            [("bearer", {"realm": "https://a.example.com/t?x=1", "service": "s"})],
        ),
        ("Bearer realm=one, realm=two", [("bearer", {"realm": "one"})]),
        ("Bearer\r\n realm=folded", [("bearer", {"realm": "folded"})]),
        ('Bearer realm="never closed', [("bearer", {"realm": ""})]),
        ('"quoted, nonsense", Basic', [("basic", {})]),
        ("", []),
        (",;,", []),
    ],
)
def test_what_registries_send_is_understood(
    header: str, expected: list[tuple[str, dict[str, str]]]
) -> None:
    read = [(challenge.scheme, dict(challenge.parameters)) for challenge in challenges([header])]
    assert read == expected


@pytest.mark.parametrize(
    ("header", "scheme"),
    [
        ("Basic realm=a, Bearer realm=b", "bearer"),
        ("Bearer, Basic realm=a", "basic"),
        ("Negotiate, Digest realm=a", None),
    ],
)
def test_tokens_are_preferred_to_passwords(header: str, scheme: str | None) -> None:
    chosen = usable(challenges([header]))
    assert (chosen and chosen.scheme) == scheme
