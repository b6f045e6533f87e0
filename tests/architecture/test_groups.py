"""Tests that share a server run in one process, so that it is started once."""

import os

import pytest


@pytest.mark.xdist_group("groups")
def test_a_group_is_named_in_the_id_by_which_tests_are_handed_out(
    request: pytest.FixtureRequest,
) -> None:
    assert request.node.nodeid.endswith("@groups") == ("PYTEST_XDIST_WORKER" in os.environ)
