"""The rights of k8s/ are enough for every promotion; each of them is missed where it is gone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Phase
from pipeline.kserve.cluster import connect
from pipeline.kserve.preflight import objection
from pipeline.kserve.rights import RIGHTS, Right
from tests.architecture.manifests import one
from tests.cluster.people import Person, person
from tests.cluster.promotions import Promotions
from tests.cluster.stack.control_plane import ControlPlane

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("rights")]

RULES: list[dict[str, Any]] = one("services", "Role")["rules"]


def test_a_good_and_a_bad_promotion_need_no_right_beyond_those_of_k8s(
    promotions: Callable[..., Promotions], someone: Callable[..., Person]
) -> None:
    laurel = someone("laurel", RULES)
    service = promotions(kubeconfig=laurel.kubeconfig, progress_deadline="30s")
    first = service.serve()
    with service.traffic() as seen:
        seen.wait(20)
        second = service.serve()
        service.move(crashes_at=0)
        bad = service.ended()
    assert [first.phase, second.phase, bad.phase] == [
        Phase.SUCCEEDED,
        Phase.SUCCEEDED,
        Phase.FAILED,
    ]
    assert "forbidden" not in service.laurel.story()
    assert "this login" not in service.laurel.story()
    assert seen.failed() == []


@pytest.fixture(params=RIGHTS, ids=lambda right: f"{right.verb} {right.resource}")
def without(
    request: pytest.FixtureRequest, control_plane: ControlPlane, tmp_path: Path
) -> Iterator[tuple[Right, Path, str]]:
    """Give somebody every right of the Role but one, on a real API server."""
    right: Right = request.param
    name = f"without-{RIGHTS.index(right)}"
    api = control_plane.api()
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    rules = [rule for each in RULES if (rule := _less(each, right))]
    yield right, person(control_plane, name, "laurel", rules, tmp_path).kubeconfig, name
    api.delete(f"/api/v1/namespaces/{name}")


def _less(rule: dict[str, Any], right: Right) -> dict[str, Any] | None:
    same = right.kind.group in rule["apiGroups"] and right.resource in rule["resources"]
    verbs = [verb for verb in rule["verbs"] if not same or verb != right.verb]
    return {**rule, "verbs": verbs} if verbs else None


def test_a_right_that_is_gone_is_named_before_anything_changes(
    without: tuple[Right, Path, str],
) -> None:
    right, kubeconfig, namespace = without
    cluster = connect(kubeconfig=kubeconfig, context=None, namespace=namespace)
    said = objection(cluster, Plan("fraud", "fraud-scorer")) or ""
    assert f"may not {right.verb} {right.resource} {right.why}" in said
    assert said.count("may not") == 1
    assert right.kubectl(namespace) in said


def test_with_all_of_them_nothing_is_in_the_way(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    control_plane.api().create("/api/v1/namespaces", {"metadata": {"name": "with-all"}})
    laurel = person(control_plane, "with-all", "laurel", RULES, tmp_path)
    cluster = connect(kubeconfig=laurel.kubeconfig, context=None, namespace="with-all")
    assert objection(cluster, Plan("fraud", "fraud-scorer")) is None
