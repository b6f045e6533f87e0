"""Names and amounts are checked as Kubernetes would, before it is asked."""

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain import kubernetes
from pipeline.domain.kubernetes import parse_quantity, require_variable
from pipeline.errors import InvalidReferenceError


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", 1),
        ("0.5", Fraction(1, 2)),
        ("500m", Fraction(1, 2)),
        ("100k", 100_000),
        ("512Mi", 512 << 20),
        ("2Gi", 2 << 30),
        ("1.5G", 1_500_000_000),
        ("3e3", 3000),
        ("1E", 10**18),
    ],
)
def test_an_amount_is_read_as_kubernetes_reads_it(text: str, amount: Fraction) -> None:
    assert parse_quantity(text) == amount


@pytest.mark.parametrize(
    "text", ["", "-1", "1 Gi", "1GiB", "1K", "ki", "1e", ".5", "5.", "1e400", "9" * 40, "1Gi\n"]
)
def test_what_is_no_amount_of_kubernetes_is_refused(text: str) -> None:
    with pytest.raises(InvalidReferenceError, match="is no Kubernetes quantity: write 500m"):
        parse_quantity(text)


@given(st.integers(0, 10**12))
def test_a_thousand_thousandths_are_one(number: int) -> None:
    assert parse_quantity(f"{number}m") * 1000 == parse_quantity(f"{number}")


GOOD_AND_BAD: list[tuple[Callable[[str], str], list[str], list[str]]] = [
    (
        kubernetes.require_object_name,
        ["regcred", "a.b-c.d", "0", "x" * 253],
        ["", "Regcred", "a_b", "-a", "a-", "a..b", "x" * 254, "a/b", "a\n"],
    ),
    (
        kubernetes.require_qualified_name,
        ["disk", "nvidia.com/gpu", "Topology_1.x"],
        ["", "/gpu", "nvidia.com/", "a/b/c", "NVIDIA.com/gpu", "-x", "x" * 64, "gpu\n"],
    ),
    (kubernetes.require_label_value, ["", "fast", "A_1.b"], ["-a", "a b", "x" * 64, "a\n"]),
    (kubernetes.require_secret_key, ["key", ".dockerconfigjson"], ["", "a/b", "x" * 254, "k\n"]),
    (kubernetes.require_namespace, ["ml", "0-a"], ["", "a.b", "ML", "x" * 64, "ml\n"]),
]


@pytest.mark.parametrize(
    ("check", "name"), [(check, name) for check, good, _ in GOOD_AND_BAD for name in good]
)
def test_a_name_that_kubernetes_takes_is_taken(check: Callable[[str], str], name: str) -> None:
    assert check(name) == name


@pytest.mark.parametrize(
    ("check", "name"), [(check, name) for check, _, bad in GOOD_AND_BAD for name in bad]
)
def test_a_name_that_kubernetes_refuses_is_refused(check: Callable[[str], str], name: str) -> None:
    with pytest.raises(InvalidReferenceError, match="is no "):
        check(name)


@pytest.mark.parametrize("name", ["REGION", "_x", "k_service", "PORTS"])
def test_a_variable_that_nobody_else_sets_may_be_set(name: str) -> None:
    assert require_variable(name) == name


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("PORT", "Knative"),
        ("K_REVISION", "Knative"),
        ("STORAGE_URI", "KServe"),
        ("PROTOCOL", "KServe"),
        ("PYTHONPATH", "Laurel's images"),
        ("LAUREL_ROOT", "Laurel"),
    ],
)
def test_a_variable_of_somebody_elses_names_its_owner(name: str, owner: str) -> None:
    with pytest.raises(InvalidReferenceError, match=f"{name} is set by {owner}: choose another"):
        require_variable(name)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "Ä", "A\n"])
def test_what_no_shell_would_take_is_no_variable(name: str) -> None:
    with pytest.raises(InvalidReferenceError, match="is no variable's name"):
        require_variable(name)
