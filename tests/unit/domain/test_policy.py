import math
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.policy import Threshold, unmet_metrics, unmet_tags
from pipeline.errors import InvalidReferenceError


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


@pytest.mark.parametrize(
    ("wanted", "met", "unmet"),
    [
        (">= 0.90", 0.9, 0.8999),
        ("> 0.9", 0.91, 0.9),
        ("<=1e-3", 0.001, 0.0011),
        ("< -.5", -0.6, -0.5),
        (" == 3. ", 3.0, 3.1),
    ],
)
def test_a_metric_is_compared_as_it_is_written(wanted: str, met: float, unmet: float) -> None:
    assert unmet_metrics({"auc": wanted}, {"auc": met}) == ()
    assert len(unmet_metrics({"auc": wanted}, {"auc": unmet})) == 1


@pytest.mark.parametrize("text", ["", "0.9", ">=", ">= x", "=> 1", "!= 1", ">= 1 or 2", ">= nan"])
def test_what_is_no_threshold_is_said_so(text: str) -> None:
    with pytest.raises(InvalidReferenceError, match=r"write >= 0\.90"):
        Threshold.parse(text)


PYTHON = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
}


@given(st.sampled_from(sorted(PYTHON)), st.floats(allow_nan=False, width=32))
def test_no_number_meets_nothing_and_a_number_meets_what_python_says(
    sign: str, value: float
) -> None:
    threshold = Threshold(sign, 0.25)
    assert not threshold.met_by(math.nan)
    assert threshold.met_by(value) == PYTHON[sign](value, 0.25)


def test_a_metric_that_is_missing_is_told_with_those_that_are_there() -> None:
    many = {f"m{number:02}": 1.0 for number in range(12)}
    clause = unmet_metrics({"auc": "> 0"}, many)[0]
    assert "the run has m00, m01, m02, m03, m04, m05, m06, m07, m08, m09, …" in clause
    assert "the run has none" in unmet_metrics({"auc": "> 0"}, {})[0]
