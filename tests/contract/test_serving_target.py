"""What every serving target does: the fake that other tests use, this machine, and KServe."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.adapters.kserve_serving import KServeServing
from pipeline.adapters.local_serving import LocalServing
from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.pods import PodPlan, Probe
from pipeline.domain.serving import Hold, Readiness
from pipeline.errors import ConflictError, NotFoundError, StaleSequenceError, UnavailableError
from pipeline.image.config import host_platform
from pipeline.kserve.asking import Gateway
from pipeline.ports import ServingTarget
from tests.fakes.kserve_controllers import FakeCluster
from tests.fakes.local_machine import LocalMachine, eventually
from tests.fakes.served_image import ImageMaker
from tests.fakes.serving_target import FakeServingTarget
from tests.servers.waiting import until

pytestmark = pytest.mark.xdist_group("local")

SMALL = {"cpu": "20m", "memory": "16Mi"}
PODS = PodPlan(requests=SMALL, limits={"cpu": "1", "memory": "64Mi"}, probe=Probe(1), timeout=10)
PLAN = Plan("fraud", "fraud", pods=PODS)
HOLD = Hold("ada", "audit", datetime(2026, 11, 21, 12, tzinfo=UTC), alias_version=7)
MOST = 65536


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageMaker:
    return ImageMaker(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def versions(images: ImageMaker) -> tuple[VerifiedImage, ...]:
    return tuple(images.serve(f"# version {n}", version=n) for n in (1, 2, 3))


@pytest.fixture(params=["fake", "local", "kserve"])
def target(
    request: pytest.FixtureRequest, images: ImageMaker, tmp_path: Path
) -> Iterator[ServingTarget]:
    if request.param == "fake":
        yield FakeServingTarget()
        return
    if request.param == "kserve":
        with FakeCluster(tmp_path) as cluster, closing(Gateway(cluster.gateway)) as gateway:
            yield KServeServing(cluster.connect(), gateway, {host_platform()})
        return
    with LocalMachine(tmp_path, images) as machine:
        yield machine.serving


def ready(target: ServingTarget, revision: str) -> None:
    eventually(lambda: target.readiness("fraud", revision)[0] is Readiness.READY)


def promoted(target: ServingTarget, image: VerifiedImage, sequence: int) -> str:
    revision = target.deploy(PLAN, image, sequence)
    ready(target, revision)
    target.complete("fraud", revision, sequence)
    return revision


def test_a_service_never_heard_of_serves_nothing(target: ServingTarget) -> None:
    state = target.observe("fraud")
    assert (state.name, state.sequence, state.stable, state.canary) == ("fraud", 0, None, None)


def test_a_first_deploy_takes_no_traffic_and_completes_to_all_of_it(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    revision = target.deploy(PLAN, versions[0], 1)
    before = target.observe("fraud")
    assert before.stable is None
    ready(target, revision)
    target.complete("fraud", revision, 1)
    after = target.observe("fraud")
    assert after.canary is None
    assert after.stable is not None
    assert (after.stable.name, after.stable.image) == (revision, versions[0].ref)
    assert (after.stable.percent, after.stable.model_version) == (100, 1)


def test_a_canary_takes_what_it_is_given_and_stable_the_rest(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    stable = promoted(target, versions[0], 1)
    canary = target.deploy(PLAN, versions[1], 2)
    seen = target.observe("fraud")
    assert seen.canary is not None
    assert seen.canary.percent == 0
    ready(target, canary)
    for percent in (10, 50):
        target.shift("fraud", canary, percent, 2)
        seen = target.observe("fraud")
        assert seen.stable is not None
        assert seen.canary is not None
        assert (seen.stable.name, seen.stable.percent) == (stable, 100 - percent)
        assert (seen.canary.name, seen.canary.percent) == (canary, percent)


def test_restoring_gives_stable_everything_and_removes_the_canary(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    promoted(target, versions[0], 1)
    canary = target.deploy(PLAN, versions[1], 2)
    ready(target, canary)
    target.shift("fraud", canary, 25, 2)
    target.restore("fraud", 2)
    seen = target.observe("fraud")
    assert seen.stable is not None
    assert seen.serves(versions[0].ref)
    assert (seen.stable.percent, seen.canary) == (100, None)
    with pytest.raises(NotFoundError):
        target.readiness("fraud", canary)


def test_restoring_a_first_deploy_leaves_nothing(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    target.deploy(PLAN, versions[0], 1)
    target.restore("fraud", 1)
    seen = target.observe("fraud")
    assert (seen.stable, seen.canary) == (None, None)
    assert seen.sequence <= 1  # where nothing is left, nothing remembers it but the ledger


def test_every_call_may_be_repeated(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    stable = promoted(target, versions[0], 1)
    assert promoted(target, versions[0], 1) == stable
    canary = target.deploy(PLAN, versions[1], 2)
    assert target.deploy(PLAN, versions[1], 2) == canary
    ready(target, canary)
    for call in repeated(target, canary):
        call()
        before = target.observe("fraud")
        call()
        assert target.observe("fraud") == before


def repeated(target: ServingTarget, canary: str) -> list[Callable[[], None]]:
    return [
        lambda: target.shift("fraud", canary, 10, 2),
        lambda: target.complete("fraud", canary, 2),
        lambda: target.restore("fraud", 2),
    ]


def test_deploying_what_is_stable_makes_no_canary(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    stable = promoted(target, versions[0], 1)
    assert target.deploy(PLAN, versions[0], 2) == stable
    seen = target.observe("fraud")
    assert seen.canary is None
    assert seen.stable is not None
    assert (seen.stable.percent, seen.sequence) == (100, 2)


def test_what_served_before_is_warm_and_takes_traffic_again(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    first = promoted(target, versions[0], 1)
    second = promoted(target, versions[1], 2)
    assert target.readiness("fraud", first)[0] is Readiness.READY
    assert target.deploy(PLAN, versions[0], 3, at_once=True) == first
    target.complete("fraud", first, 3)
    seen = target.observe("fraud")
    assert seen.serves(versions[0].ref)
    assert seen.canary is None
    assert target.deploy(PLAN, versions[1], 4, at_once=True) == second
    assert target.readiness("fraud", second)[0] is Readiness.READY


def test_an_older_promotion_changes_nothing(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    stable = promoted(target, versions[0], 5)
    before = target.observe("fraud")
    for call in (
        lambda: target.deploy(PLAN, versions[1], 4),
        lambda: target.shift("fraud", stable, 10, 4),
        lambda: target.complete("fraud", stable, 4),
        lambda: target.restore("fraud", 4),
    ):
        with pytest.raises(StaleSequenceError, match="fraud"):
            call()
    assert target.observe("fraud") == before


def test_a_newer_promotion_replaces_a_canary_that_nobody_ended(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    stable = promoted(target, versions[0], 1)
    abandoned = target.deploy(PLAN, versions[1], 2)
    ready(target, abandoned)
    target.shift("fraud", abandoned, 50, 2)
    canary = target.deploy(PLAN, versions[2], 3)
    seen = target.observe("fraud")
    assert seen.stable is not None
    assert seen.canary is not None
    assert (seen.stable.name, seen.stable.percent) == (stable, 100)
    assert (seen.canary.name, seen.canary.percent) == (canary, 0)


def test_a_revision_that_is_not_there_gets_no_traffic(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    promoted(target, versions[0], 1)
    with pytest.raises(NotFoundError, match="fraud-00009"):
        target.shift("fraud", "fraud-00009", 10, 2)
    with pytest.raises(NotFoundError, match="fraud-00009"):
        target.complete("fraud", "fraud-00009", 2)


def test_services_do_not_touch_each_other(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    promoted(target, versions[0], 1)
    other = dataclasses.replace(PLAN, service="churn")
    target.deploy(other, versions[1], 7)
    target.restore("churn", 7)
    seen = target.observe("fraud")
    assert seen.stable is not None
    assert (seen.stable.percent, seen.sequence) == (100, 1)


def answered(target: ServingTarget, revision: str) -> tuple[int, bytes]:
    """Ask once the gateway has an address: it may hear of a revision later than of its pods."""

    def asked() -> tuple[int, bytes] | None:
        with suppress(UnavailableError):
            return target.ask("fraud", revision, b'{"instances": [[1.0]]}')
        return None

    return until(asked, f"an address of {revision}")


def test_a_revision_is_asked_whatever_its_share_of_the_traffic_is(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    stable = promoted(target, versions[0], 1)
    canary = target.deploy(PLAN, versions[1], 2)
    ready(target, canary)
    for revision in (stable, canary):
        status, answer = answered(target, revision)
        assert status == 200
        assert len(answer) <= MOST
    seen = target.observe("fraud")
    assert seen.stable is not None
    assert seen.stable.percent == 100


def test_a_revision_that_is_not_there_cannot_be_asked(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    promoted(target, versions[0], 1)
    with pytest.raises(NotFoundError, match="fraud-00009"):
        target.ask("fraud", "fraud-00009", b"{}")


def test_who_waits_for_readiness_is_answered_when_it_is_there(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    revision = target.deploy(PLAN, versions[0], 1)
    assert target.readiness("fraud", revision, wait=240.0) == (Readiness.READY, "")


def test_a_hold_stands_on_the_service_until_it_is_taken_off(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    promoted(target, versions[0], 1)
    assert target.observe("fraud").hold is None
    target.hold("fraud", HOLD)
    assert target.observe("fraud").hold == HOLD
    target.hold("fraud", None)
    assert target.observe("fraud").hold is None


def test_a_hold_outlives_whatever_happens_to_the_traffic(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    promoted(target, versions[0], 1)
    target.hold("fraud", HOLD)
    canary = target.deploy(PLAN, versions[1], 2)
    ready(target, canary)
    target.shift("fraud", canary, 50, 2)
    target.restore("fraud", 2)
    promoted(target, versions[2], 3)
    assert target.observe("fraud").hold == HOLD


def test_a_hold_changes_no_traffic_and_makes_no_service(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    promoted(target, versions[0], 1)
    before = target.observe("fraud")
    target.hold("fraud", HOLD)
    target.hold("churn", HOLD)
    assert target.observe("fraud") == dataclasses.replace(before, hold=HOLD)
    assert target.observe("churn").hold is None


def test_what_nobody_touched_has_not_drifted(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    promoted(target, versions[0], 1)
    assert target.observe("fraud").drift == ""
    assert target.differences(PLAN, versions[1]) == ()


def test_only_what_is_there_can_be_adopted(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    promoted(target, versions[0], 1)
    before = target.observe("fraud")
    target.adopt("fraud", versions[0])
    with pytest.raises(ConflictError, match="fraud"):
        target.adopt("fraud", versions[1])
    assert target.observe("fraud") == before


def test_a_plan_that_it_can_carry_out_meets_no_objection(target: ServingTarget) -> None:
    assert target.objection(PLAN) is None


def test_all_are_serving_targets() -> None:
    _: tuple[type[ServingTarget], ...] = (FakeServingTarget, LocalServing, KServeServing)


def test_it_says_for_which_machines_images_must_be(target: ServingTarget) -> None:
    assert target.platforms("fraud") == {host_platform()}


def test_a_revision_that_serves_is_in_no_trouble_and_one_that_is_not_there_is_no_revision(
    target: ServingTarget, versions: tuple[VerifiedImage, ...]
) -> None:
    stable = promoted(target, versions[0], 1)
    assert target.trouble("fraud", stable) == ""
    with pytest.raises(NotFoundError):
        target.trouble("fraud", "fraud-09999")
