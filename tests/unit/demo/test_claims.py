from dataclasses import replace

import pytest

from pipeline.demo.claims import claims
from pipeline.demo.observed import Observed
from tests.unit.demo.seen_story import (
    BACK,
    BAD,
    FIRST,
    GOOD,
    IMAGES,
    REVISIONS,
    TAGS,
    WELL,
    seen,
    with_chapter,
    with_promotion,
    with_service,
)

_FIRST = "version 1 was deployed"
_GOOD = "version 2 rose"
_NOTHING_FAILED = "not one request failed"
_CAUGHT = "version 3 passed its smoke test"
_BACK = "the traffic went back"
_BY_HAND = "a rollback by hand"
_WEBHOOKS = "MLflow's own webhooks"
_SIGNED = "every image is signed"
_TAGGED = "MLflow shows on each version"


def _missing(observed: Observed) -> set[str]:
    return {claim.text for claim in claims(observed) if not claim.holds}


def test_a_demo_that_went_well_holds_every_claim() -> None:
    assert _missing(WELL) == set()


def test_nothing_is_claimed_of_a_demo_that_did_not_begin() -> None:
    judged = claims(Observed())
    assert {claim.seen for claim in judged} == {"not reached"}
    assert not any(claim.holds for claim in judged)


_ONE, _TWO, _THREE = (REVISIONS[version] for version in (1, 2, 3))


@pytest.mark.parametrize(
    ("observed", "claim"),
    [
        (with_promotion(0, phase="failed"), _FIRST),
        (with_chapter(0, after=seen((79, _ONE, 200), (1, _ONE, 503))), _FIRST),
        (with_chapter(0, after=seen()), _FIRST),
        (with_service(0, stable=None), _FIRST),
        (with_promotion(0, canary=[{"percent": 10, "verdict": "pass"}]), _FIRST),
        (with_promotion(1, phase="failed"), _GOOD),
        (with_promotion(1, canary=GOOD.promotion["canary"][:2]), _GOOD),
        (with_chapter(1, during=seen((500, _ONE, 200))), _GOOD),
        (with_chapter(1, service=FIRST.service, after=FIRST.after), _GOOD),
        (with_chapter(1, after=seen((79, _TWO, 200), (1, _ONE, 200))), _GOOD),
        (with_chapter(1, during=seen((500, _ONE, 200), (1, _TWO, 500))), _NOTHING_FAILED),
        (with_chapter(1, after=seen((80, _TWO, 200), (1, _TWO, 503))), _NOTHING_FAILED),
        (with_chapter(1, during=seen(), after=seen()), _NOTHING_FAILED),
        (with_promotion(2, phase="succeeded"), _CAUGHT),
        (with_promotion(2, phase="errored"), _CAUGHT),
        (with_promotion(2, steps=[{"name": "smoke", "phase": "failed"}]), _CAUGHT),
        (with_promotion(2, canary=[]), _CAUGHT),
        (with_chapter(2, during=seen((300, _TWO, 200), (9, _THREE, 200))), _CAUGHT),
        (with_chapter(2, after=seen((79, _TWO, 200), (1, _THREE, 200))), _BACK),
        (with_chapter(2, after=seen((79, _TWO, 200), (1, _TWO, 503))), _BACK),
        (with_service(2, stable={"revision": _THREE, "image": IMAGES[3]}), _BACK),
        (with_promotion(3, phase="errored"), _BY_HAND),
        (with_promotion(3, kind="promotion"), _BY_HAND),
        (with_promotion(3, image=IMAGES[2]), _BY_HAND),
        (with_service(3, stable={"revision": _ONE, "image": IMAGES[2]}), _BY_HAND),
        (with_service(3, stable=None), _BY_HAND),
        (with_service(3, hold=None), _BY_HAND),
        (with_chapter(3, during=seen((60, _TWO, 500))), _BY_HAND),
        (with_promotion(1, trigger={"kind": "reconciler"}), _WEBHOOKS),
        (replace(WELL, verified=WELL.verified | {IMAGES[3]: False}), _SIGNED),
        (replace(WELL, verified={}), _SIGNED),
        (with_promotion(2, image=None), _SIGNED),
        (replace(WELL, tags={1: TAGS[1], 2: TAGS[2]}), _TAGGED),
        (replace(WELL, tags=TAGS | {3: TAGS[2]}), _TAGGED),
        (replace(WELL, tags=TAGS | {2: TAGS[1]}), _TAGGED),
    ],
)
def test_a_claim_falls_with_what_contradicts_it(observed: Observed, claim: str) -> None:
    assert any(text.startswith(claim) for text in _missing(observed))


def test_what_was_not_reached_is_not_claimed_and_what_was_is() -> None:
    reached = replace(WELL, chapters=(FIRST, GOOD))
    assert {claim.text.split(",")[0] for claim in claims(reached) if claim.holds} == {
        _FIRST,
        "not one request failed meanwhile",
        "version 2 rose over (10",
    }


def test_a_promotion_without_an_image_yet_names_the_one_it_returns_to() -> None:
    back = replace(BACK, promotion=BACK.promotion | {"image": None, "target": IMAGES[1]})
    assert back.image == IMAGES[1]


def test_percent_zero_is_no_share_of_the_traffic() -> None:
    looks = [{"percent": 0, "verdict": "hold"}, *BAD.promotion["canary"]]
    assert replace(BAD, promotion=BAD.promotion | {"canary": looks}).percents == [10]
