"""Rollbacks in each state: no failed request, a clean service, and few calls of the API server.

How long they take beside the same patches sent by hand: ``make bench-cluster``.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.adapters.kserve_serving import KServeServing
from pipeline.kserve.asking import Gateway
from pipeline.kserve.cluster import connect
from pipeline.kserve.rights import RIGHTS
from tests.cluster.grounds import Ground
from tests.cluster.models import Model
from tests.cluster.rollbacks import STATES, measured
from tests.cluster.services import Services
from tests.cluster.stack.whole import Whole

pytestmark = pytest.mark.cluster
CORE = "promoted, what served before still has its pods"
STEPS = (10, 25, 50, 75)
OF_A_PREFLIGHT = len(RIGHTS) + 5
"""Calls before anything is changed: each right is asked for by itself."""
OF_A_PROMOTION, OF_A_STEP, OF_A_ROLLBACK = 24, 7, 40
A_SECOND = 4
"""Calls more for each second that pods are waited for: the revision is read and watched anew."""


@pytest.fixture
def ground(
    cluster: Whole, services: Services, model: Model, kubeconfig: Path
) -> Iterator[Callable[[str], Ground]]:
    with closing(Gateway(cluster.place.gateway)) as gateway:

        def made(name: str) -> Ground:
            door = connect(kubeconfig=kubeconfig, context=None, namespace=services.namespace)
            return Ground(name, services, model, door, KServeServing(door, gateway))

        yield made


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.smoke] * (each == CORE)) for each in STATES]
)
def test_a_rollback_fails_no_request_and_leaves_a_clean_service(
    name: str, ground: Callable[[str], Ground]
) -> None:
    state, service = STATES[name], ground("fraud")
    back_to = state.prepare(service)
    before = service.revisions()
    calls = Counter(service.cluster.calls)
    found = measured(service, back_to, lambda: state.back(service, back_to))
    made = Counter(service.cluster.calls) - calls
    now = service.now()
    assert found.seen.failed() == []
    assert set(found.seen.versions(found.since + found.seconds + 0.001)) == {
        f"v{back_to.model.version}"
    }
    assert now.clean
    assert (now.image, now.digest) == (str(back_to.ref), str(back_to.ref))
    new = [image for each, image in service.revisions().items() if each not in before]
    assert new == [str(back_to.ref)], "one fresh revision, so that the spec says what serves"
    assert made.total() <= OF_A_ROLLBACK + A_SECOND * made["watch", "revisions"], made


def test_a_promotion_costs_few_calls_for_each_step_and_an_idle_look_one(
    ground: Callable[[str], Ground],
) -> None:
    service = ground("fraud")
    service.history("v1", "v2")
    calls = Counter(service.cluster.calls)
    assert service.target.objection(service.plan) is None
    asked = Counter(service.cluster.calls) - calls
    assert asked.total() <= OF_A_PREFLIGHT, asked
    service.promote(service.image("v3"), *STEPS)
    made = Counter(service.cluster.calls) - calls - asked
    most = OF_A_PROMOTION + OF_A_STEP * len(STEPS) + A_SECOND * made["watch", "revisions"]
    assert made.total() <= most, made
    calls = Counter(service.cluster.calls)
    service.target.observe(service.name)
    assert Counter(service.cluster.calls) - calls == {
        ("get", "inferenceservices"): 1,
        ("get", "revisions"): 1,
    }
