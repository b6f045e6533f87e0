"""What callers were granted, and nothing beside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.access import Caller, Grant, Role, in_order, require_token_name
from pipeline.errors import InvalidReferenceError

SERVICES = ("fraud", "churn", "risk")
GRANTS = st.builds(
    Grant,
    st.frozensets(st.sampled_from(list(Role)), min_size=1),
    st.none() | st.frozensets(st.sampled_from(SERVICES), min_size=1),
)
CALLERS = st.builds(
    lambda grants: Caller("ada", tuple(grants), "a token"), st.lists(GRANTS, min_size=1, max_size=4)
)


@given(CALLERS, st.sampled_from([Role.APPROVER, Role.OPERATOR]), st.sampled_from(SERVICES))
def test_a_role_holds_for_exactly_the_services_that_one_grant_joins_it_with(
    caller: Caller, role: Role, service: str
) -> None:
    together = [g for g in caller.grants if role in g.roles and service in (g.services or SERVICES)]
    assert caller.may(role, service) is bool(together)


@given(CALLERS, st.sampled_from(SERVICES))
def test_whoever_may_do_anything_to_a_service_may_read_about_it(
    caller: Caller, service: str
) -> None:
    anything = any(caller.may(role, service) for role in Role)
    assert caller.may(Role.READER, service) is anything


@given(CALLERS, st.sampled_from(list(Role)), st.sampled_from(SERVICES))
def test_the_services_of_a_role_are_those_it_may_be_used_on(
    caller: Caller, role: Role, service: str
) -> None:
    services = caller.services(role)
    assert caller.may(role, service) is (services is None or service in services)


@given(CALLERS, st.sampled_from(list(Role)))
def test_without_a_service_any_one_is_enough(caller: Caller, role: Role) -> None:
    assert caller.may(role) is any(caller.may(role, each) for each in SERVICES)


def test_an_operator_is_no_approver_and_an_approver_no_operator() -> None:
    operator = Caller("ada", (Grant(frozenset({Role.OPERATOR})),), "a token")
    approver = Caller("bob", (Grant(frozenset({Role.APPROVER})),), "a token")
    assert not operator.may(Role.APPROVER)
    assert not approver.may(Role.OPERATOR)
    assert not operator.bound


def test_roles_of_several_grants_are_listed_once_and_the_weakest_first() -> None:
    grants = (
        Grant(frozenset({Role.OPERATOR, Role.READER}), frozenset({"fraud"})),
        Grant(frozenset({Role.APPROVER, Role.READER})),
    )
    caller = Caller("ada", grants, "a token")
    assert caller.roles == in_order([*Role]) == (Role.READER, Role.APPROVER, Role.OPERATOR)
    assert caller.bound


@pytest.mark.parametrize("name", ["ci", "ada@example.com", "Release-2026.1_b", "a" * 100])
def test_people_and_programs_may_be_named_as_they_are(name: str) -> None:
    assert require_token_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "a b", "github:ada", "ada (acme/models)", "-ci", "ci\n", "a" * 101),
        *("operator", "mlflow", "laurel", "reconciler", "somebody"),
    ],
)
def test_a_name_that_the_record_has_for_others_is_refused(name: str) -> None:
    with pytest.raises(InvalidReferenceError, match="cannot be a token's name"):
        require_token_name(name)
