"""uv 0.13's own words, as it printed them, and what Laurel makes of them."""

import pytest

from pipeline.adapters.uv_refusal import read_refusal
from pipeline.errors import CorruptedError, ForbiddenError, PermanentError, UnavailableError

NO_SOLUTION = "error: No solution found when resolving dependencies\n  cause: "
UNSATISFIABLE = "we can conclude that your requirements are unsatisfiable.\n"


def reason(explanation: str) -> str:
    return read_refusal(NO_SOLUTION + explanation, "3.11").reason


def test_a_clash_names_what_was_required_and_why_it_clashes() -> None:
    told = reason(
        "Because mlserver-mlflow==1.7.1 depends on mlflow>=2.19.0 and you require "
        "mlserver-mlflow==1.7.1, we can conclude that you require mlflow>=2.19.0.\n"
        "         And because you require mlflow==2.16.2, " + UNSATISFIABLE
    )
    assert told == (
        "mlserver-mlflow==1.7.1 and mlflow==2.16.2 cannot be installed together on Python 3.11 "
        "(mlserver-mlflow==1.7.1 depends on mlflow>=2.19.0): "
        "change one of these requirements and log the model again"
    )


def test_a_clash_over_a_third_package_names_it_too() -> None:
    told = reason(
        "Because mlserver==1.7.1 depends on protobuf>=5.27.2,<7.0.0 and tensorflow==2.17.0 "
        "depends on one of:\n             protobuf>=3.20.3,<4.21.0\n"
        "             protobuf>4.21.0,<4.21.1\n         we can conclude that mlserver==1.7.1 and "
        "tensorflow==2.17.0 are incompatible.\n         And because you require "
        "tensorflow==2.17.0 and mlserver==1.7.1, " + UNSATISFIABLE
    )
    assert told.startswith(
        "tensorflow==2.17.0 and mlserver==1.7.1 cannot be installed together on Python 3.11 "
        "(mlserver==1.7.1 depends on protobuf>=5.27.2,<7.0.0; "
        "tensorflow==2.17.0 depends on certain versions of protobuf): "
    )


def test_one_package_in_two_versions_is_named_with_both() -> None:
    told = reason("Because you require numpy==1.0.0 and numpy==2.0.0, " + UNSATISFIABLE)
    assert told.startswith("numpy==1.0.0 and numpy==2.0.0 cannot be installed together")


def test_a_package_without_wheels_is_named_and_a_wheel_asked_for() -> None:
    told = reason(
        "Because docopt==0.6.2 has no usable wheels and you require docopt==0.6.2, "
        + UNSATISFIABLE
        + "\nhint: Wheels are required for `docopt` because building from source is disabled"
    )
    assert told.startswith("docopt==0.6.2 cannot be installed on Python 3.11 without building")
    assert "publish a wheel" in told


def test_a_package_without_wheels_for_this_python_is_named() -> None:
    told = reason(
        "Because tensorflow==2.17.0 has no wheels with a matching Python ABI tag (e.g., `cp313`) "
        "and you require tensorflow==2.17.0, " + UNSATISFIABLE
    )
    assert told.startswith("tensorflow==2.17.0 cannot be installed on Python 3.11")


def test_a_marker_is_no_part_of_a_name() -> None:
    told = reason(
        "Because numpy{python_full_version < '3.12'}==2.5.0 has no usable wheels and you require "
        "numpy{python_full_version < '3.12'}==2.5.0, " + UNSATISFIABLE
    )
    assert told.startswith("numpy==2.5.0 cannot be installed")


def test_a_package_that_the_index_has_not_is_named() -> None:
    told = reason(
        "Because fraud-lib was not found in the package registry and you require fraud-lib==1, "
        + UNSATISFIABLE
    )
    assert told.startswith("the package index has no package fraud-lib:")


def test_a_version_that_the_index_has_not_is_named() -> None:
    told = reason(
        "Because there is no version of numpy==99 and you require numpy==99, " + UNSATISFIABLE
    )
    assert told.startswith("the package index has no numpy==99 for Python 3.11")


def test_a_line_that_is_no_requirement_is_shown() -> None:
    told = read_refusal(
        "error: Couldn't parse requirement in `-` at position 0\n"
        "  cause: Trailing `and what` is not allowed\n         numpy==99 and what",
        "3.11",
    )
    assert "Trailing `and what` is not allowed" in told.reason


def test_an_explanation_in_other_words_is_still_one_sentence() -> None:
    told = reason("Because of something new, " + UNSATISFIABLE)
    assert told.startswith("the requirements cannot be installed together on Python 3.11:")


def test_uvs_own_explanation_is_evidence_without_the_indexs_address() -> None:
    refused = read_refusal(NO_SOLUTION + "see https://ada:secret@index.example/simple/", "3.11")
    assert "No solution found" in refused.evidence["resolver"]
    assert "secret" not in str(refused)
    assert "index.example" not in str(refused)


@pytest.mark.parametrize(
    ("stderr", "error"),
    [
        (
            "error: Failed to fetch: http://ada:secret@127.0.0.1:9/simple/numpy/",
            UnavailableError,
        ),
        (
            NO_SOLUTION
            + "hint: An index URL (https://secret@index.example/) could not be queried due to a "
            + "lack of valid authentication credentials (401 Unauthorized).",
            ForbiddenError,
        ),
        ("error: Failed to download `x==1`\n cause: Hash mismatch for `x==1`", CorruptedError),
        ("error: failed to write: No space left on device (os error 28)", PermanentError),
        ("error: something that uv never said before", PermanentError),
    ],
)
def test_a_fault_of_the_index_or_this_machine_is_no_refusal(
    stderr: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        read_refusal(stderr, "3.11")
    assert "secret" not in str(caught.value)
