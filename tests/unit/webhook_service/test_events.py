"""Bodies to typed alias events."""

import json

import pytest

from pipeline.domain.delivery import AliasAction
from pipeline.domain.plan import Plan
from pipeline.errors import MalformedDeliveryError
from tests.fakes.mlflow_webhook import alias_event
from webhook_service.events import AliasEvent, Ignored, parse
from webhook_service.triggers import nearly_watching, watching

SET = AliasEvent(AliasAction.CREATED, "fraud-scorer", "champion", 2, "")


def test_an_alias_that_was_set_is_an_event_with_its_version() -> None:
    assert parse(alias_event()) == SET


def test_a_version_written_with_zeros_is_the_same_version() -> None:
    assert parse(alias_event(version="02")) == SET


def test_a_deleted_alias_has_no_version() -> None:
    event = parse(alias_event(action="deleted"))
    assert event == AliasEvent(AliasAction.DELETED, "fraud-scorer", "champion", None, "")


def test_the_workspace_is_kept_as_a_hint() -> None:
    event = parse(alias_event(workspace="team-a"))
    assert isinstance(event, AliasEvent)
    assert event.workspace == "team-a"


def test_names_keep_every_letter() -> None:
    event = parse(alias_event("模型 v1 (EU)", "châmpion"))
    assert isinstance(event, AliasEvent)
    assert (event.model, event.alias) == ("模型 v1 (EU)", "châmpion")


@pytest.mark.parametrize(
    ("entity", "action"),
    [
        ("registered_model", "created"),
        ("model_version_tag", "set"),
        ("prompt_alias", "created"),
        ("model_version_alias", "renamed"),
        ("something_new", "happened"),
    ],
)
def test_every_other_event_is_ignored(entity: str, action: str) -> None:
    body = {"entity": entity, "action": action, "data": {"name": "m", "alias": "champion"}}
    assert parse(json.dumps(body).encode()) is Ignored.NO_ALIAS_EVENT


def test_a_test_delivery_is_known_by_its_invented_names() -> None:
    assert parse(alias_event("example_model", "example_alias", "1")) is Ignored.TEST
    assert isinstance(parse(alias_event("example_model", "champion", "1")), AliasEvent)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"[" * 100_000,
        b'{"entity": 1, "action": "created", "data": {}}',
        b'{"entity": "model_version_alias", "action": null, "data": {}}',
        b'{"entity": "model_version_alias", "action": "created"}',
        b'{"entity": "model_version_alias", "action": "created", "data": []}',
        b'{"entity": "model_version_alias", "entity": "x", "action": "created", "data": {}}',
        alias_event().replace(b'"alias"', b'"alias": "a", "alias"'),
        alias_event().replace(b'"2"', b"NaN"),
        alias_event().replace(b'"2"', b"-Infinity"),
        alias_event().replace(b"}}", b'}, "timestamp": NaN}'),
        alias_event().replace(b'"2"', b"9" * 5000),
        alias_event().replace(b'"champion"', rb'"\ud800"'),
        alias_event().replace(b'"champion"', b'"cham\tpion"'),
        alias_event(version=2),
        alias_event(version=None),
        alias_event(version="0"),
        alias_event(version="-1"),
        alias_event(version="1.0"),
        alias_event(version="٢"),
        alias_event(version="9" * 19),
        alias_event(version="latest"),
        alias_event(model=""),
        alias_event(model=["fraud-scorer"]),
        alias_event(model="x" * 501),
        alias_event(alias="champion\x00"),
        alias_event(alias="champion\n"),
        alias_event(alias="\x7f"),
        alias_event(workspace=7),
        alias_event(workspace="a\x1bb"),
    ],
    ids=lambda body: repr(body)[-70:],
)
def test_what_mlflow_never_writes_is_malformed_and_not_repeated(body: bytes) -> None:
    with pytest.raises(MalformedDeliveryError) as refused:
        parse(body)
    assert "fraud" not in str(refused.value)
    assert "champion" not in str(refused.value)


SERVICES = {
    "b": Plan("b", "fraud-scorer", from_alias="challenger"),
    "a": Plan("a", "fraud-scorer", workspace="eu"),
    "c": Plan("c", "fraud-scorer", alias="candidate"),
}


@pytest.mark.parametrize(
    ("model", "alias", "services"),
    [
        ("fraud-scorer", "champion", ("a", "b")),
        ("fraud-scorer", "challenger", ("b",)),
        ("fraud-scorer", "candidate", ("c",)),
        ("fraud-scorer", "Champion", ()),
        ("fraud-scorer", "champіon", ()),  # noqa: RUF001 - a Cyrillic i on purpose
        ("Fraud-scorer", "champion", ()),
        ("fraud-scorer ", "champion", ()),
        ("other", "champion", ()),
    ],
)
def test_names_match_exactly_and_workspaces_do_not_matter(
    model: str, alias: str, services: tuple[str, ...]
) -> None:
    event = AliasEvent(AliasAction.CREATED, model, alias, 1, "elsewhere")
    assert watching(SERVICES, event) == services


def test_an_alias_in_other_capitals_nearly_matches() -> None:
    event = AliasEvent(AliasAction.CREATED, "fraud-scorer", "Champion", 1, "")
    assert nearly_watching(SERVICES, event) == ("a", "b")
