from pipeline.domain.promotion import Phase
from pipeline.domain.serving import Hold, Readiness, Revision, ServiceState
from tests.unit.cli.conftest import FIRST, NOW, SECOND, Served, answer, laurel


def test_status_shows_what_each_service_serves(served: Served) -> None:
    served.promoted(1, FIRST)
    served.promoted(2, SECOND, Phase.RUNNING)
    served.ledger.states.observed(
        ServiceState(
            "fraud",
            "http://127.0.0.1:8081",
            stable=Revision("fraud-00001", FIRST, 75, Readiness.READY, 1),
            canary=Revision("fraud-00002", SECOND, 25, Readiness.READY, 2),
        ),
        NOW,
    )
    served.ledger.holds.set("fraud", Hold("ada", "audit", NOW))
    heading, row = laurel("status").stdout.splitlines()
    assert heading.split()[:4] == ["SERVICE", "WATCHES", "VERSION", "DIGEST"]
    shown = ["fraud", "fraud-scorer@champion", "1", FIRST.digest.short, "25", "%"]
    assert row.split() == [*shown, "ada:", "audit", "-", "fraud-scorer/2", "running"]


def test_status_of_a_service_that_nothing_was_promoted_to_shows_dashes(served: Served) -> None:
    assert served.url
    assert laurel("status").stdout.splitlines()[1].split()[2:] == ["-"] * 7
    assert answer("status")["items"][0]["stable"] is None


def test_status_of_a_service_tells_all_of_it(served: Served) -> None:
    assert served.url
    assert answer("status", "fraud")["name"] == "fraud"
    assert "fraud-scorer@champion" in laurel("status", "fraud").stdout


def test_status_of_a_service_tells_its_revisions_its_shares_and_what_was_changed_by_hand(
    served: Served,
) -> None:
    drift = "somebody set the percent to 10 by hand: put it back, or set drift: adopt"
    served.ledger.states.observed(
        ServiceState(
            "fraud",
            "http://127.0.0.1:8081",
            stable=Revision("fraud-00001", FIRST, 90, Readiness.READY, 1),
            canary=Revision("fraud-00002", SECOND, 10, Readiness.READY, 2),
            drift=drift,
        ),
        NOW,
    )
    shown = laurel("status", "fraud").stdout
    assert ["revision", "fraud-00001", "at", "90", "%"] in _words(shown)
    assert ["canary", "fraud-00002", "at", "10", "%"] in _words(shown)
    assert drift in shown
    assert laurel("status").stdout.splitlines()[1].split()[-3:] == ["yes", "-", "-"]


def test_status_of_a_promotion_tells_its_steps_and_looks(served: Served) -> None:
    promotion = served.promoted(7, FIRST, Phase.RUNNING)
    events = served.ledger.events
    events.append(promotion.id, NOW, "step_started", {"name": "check"})
    refusal = {"name": "check", "phase": "failed", "evidence": {"reason": "tag missing"}}
    events.append(promotion.id, NOW, "step_ended", refusal)
    look = {
        "percent": 25,
        "started_at": NOW.isoformat(),
        "verdict": "hold",
        "samples": {"stable": 900, "canary": 300},
        "metrics": {},
    }
    events.append(promotion.id, NOW, "look", look)
    shown = laurel("status", promotion.id).stdout
    assert "fraud-scorer/7" in shown
    assert ["check", "failed", "1", "0.0", "s", "tag", "missing"] in _words(shown)
    assert ["25", "%", "hold", "900", "300"] in [line[:5] for line in _words(shown)]
    assert answer("status", promotion.id.upper().lower())["id"] == promotion.id


def test_status_of_an_unknown_promotion_is_a_mistake_of_the_caller(served: Served) -> None:
    assert served.url
    result = laurel("status", "01890000-0000-7000-8000-000000000000")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no promotion of that id" in result.stderr


def test_list_shows_the_newest_first_and_how_to_go_on(served: Served) -> None:
    served.promoted(1, FIRST)
    newest = served.promoted(2, SECOND, Phase.FAILED)
    page = laurel("list", "--limit", "1")
    assert page.stdout.splitlines()[1].startswith(newest.id)
    assert f"--cursor {newest.id}" in page.stderr
    rest = answer("list", "--cursor", newest.id)
    assert [each["model"]["version"] for each in rest["items"]] == [1]


def test_an_empty_list_says_how_a_promotion_begins(served: Served) -> None:
    assert served.url
    assert "`laurel promote`" in laurel("list").stderr
    assert laurel("list", "--json").stderr == ""


def test_list_can_be_narrowed(served: Served) -> None:
    served.promoted(1, FIRST)
    served.promoted(2, SECOND, Phase.FAILED)
    failed = answer("list", "--phase", "failed", "--service", "fraud")["items"]
    assert [each["phase"] for each in failed] == ["failed"]
    assert answer("list", "--service", "other")["items"] == []


def _words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]
