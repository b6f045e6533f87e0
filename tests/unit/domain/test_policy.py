import pytest

from pipeline.domain.policy import unmet_tags


@pytest.mark.parametrize(
    ("actual", "unmet"),
    [
        ({"validated": "true", "other": "x"}, ()),
        ({}, ("tag validated is not set, required is 'true'",)),
        ({"validated": "True"}, ("tag validated is 'True', required is 'true'",)),
        ({"Validated": "true"}, ("tag validated is not set, required is 'true'",)),
    ],
)
def test_a_tag_is_met_by_exactly_its_required_value(
    actual: dict[str, str], unmet: tuple[str, ...]
) -> None:
    assert unmet_tags({"validated": "true"}, actual) == unmet


def test_every_unmet_tag_is_named_in_order() -> None:
    assert [clause.split()[1] for clause in unmet_tags({"b": "1", "a": "1"}, {})] == ["a", "b"]


def test_nothing_required_is_always_met() -> None:
    assert unmet_tags({}, {"a": "b"}) == ()
