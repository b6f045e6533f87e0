"""Words of registries in our errors: short, printable, and without secrets."""

import json
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPResponse

from pipeline.distribution.login import Login
from pipeline.distribution.refusals import forbidden, reason
from pipeline.distribution.request import Request, Scope

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["errors", "code"]), inner),
)
DIGEST = "sha256:" + "ab" * 32


def said(body: object) -> str:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return reason(HTTPResponse(BytesIO(content), status=400, preload_content=False))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"errors": [{"code": "DENIED", "message": "no"}, {"code": "X"}]}, "DENIED no"),
        ({"errors": [{"code": "DENIED", "message": None}]}, "DENIED"),
        ({"error": "invalid_grant", "error_description": "too old"}, "invalid_grant too old"),
        ({"details": "incorrect username or password"}, "incorrect username or password"),
        ({"errors": []}, ""),
        ({"errors": ["DENIED"]}, ""),
        ({"errors": {"code": "DENIED"}}, ""),
        ([], ""),
        (b"<html>", ""),
        (b"", ""),
        (b"[" * 70_000, ""),
    ],
)
def test_a_reason_is_found_where_registries_write_it(body: object, text: str) -> None:
    assert said(body) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("red \x1b[31m\nline\u202e", "red  [31m line"),
        ("at https://s.example.com/x?X-Signature=abc end", "at https://s.example.com/x?… end"),
        ("bad Authorization: Bearer abc.def-1", "bad Authorization: Bearer …"),
        ("sent basic YWRhOng=", "sent basic …"),
        (f"token {'x' * 60} is bad", "token … is bad"),
        (f"blob {DIGEST} unknown", f"blob {DIGEST} unknown"),
        ("ü" * 300, "…"),
        ("no " * 300, ("no " * 300)[:200].strip()),
    ],
)
def test_what_could_be_a_secret_or_a_trick_is_not_repeated(text: str, shown: str) -> None:
    assert said({"message": text}) == shown


@given(_JSON)
def test_no_answer_breaks_the_reading_of_a_reason(body: object) -> None:
    text = said(body)
    assert len(text) <= 200
    assert text.isprintable()


def test_a_registry_that_repeats_the_password_is_not_quoted() -> None:
    login = Login("auths of x", "ada", "hunter2")
    request = Request("GET", "r.example.com", "/", (Scope("a"), Scope("b")), "read", "a")
    assert str(forbidden(request, login, "DENIED hunter2 is wrong")) == (
        "could not read (a): r.example.com refuses user ada (auths of x) pull on a, pull on b"
    )
