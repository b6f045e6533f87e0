import json

import pytest

from pipeline.demo.claims import Claim
from pipeline.demo.observed import Observed
from pipeline.demo.report import print_json, print_table, rows
from tests.unit.demo.seen_story import WELL, with_promotion

_CLAIMS = (
    Claim("the sun rose", holds=True, seen="at 6"),
    Claim("it rained", holds=False, seen="0"),
)


def test_a_row_tells_what_an_auditor_asks_for() -> None:
    assert rows(WELL)[2] == {
        "version": 3,
        "what": "bad canary",
        "digest": "sha256:" + "3" * 64,
        "signature": "verified",
        "traffic": "10 > 0 %",
        "verdict": "fail",
        "seconds": 9.5,
        "requests": 310,
        "failed requests": 6,
    }


def test_a_deploy_without_a_canary_says_so() -> None:
    first = rows(WELL)[0]
    assert (first["traffic"], first["verdict"]) == ("100 %", "no canary")


def test_an_image_that_was_not_verified_is_not_called_verified() -> None:
    unverified = Observed(chapters=WELL.chapters)
    assert {row["signature"] for row in rows(unverified)} == {"not verified"}


def test_a_promotion_that_made_no_image_has_no_digest() -> None:
    row = rows(with_promotion(2, image=None))[2]
    assert (row["digest"], row["signature"]) == (None, "not verified")


def test_json_holds_the_whole_digest_and_every_claim(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(WELL, _CLAIMS)
    said = json.loads(capsys.readouterr().out)
    assert said["chapters"] == rows(WELL)
    assert said["claims"][1] == {"claim": "it rained", "holds": False, "seen": "0"}


def test_the_table_fits_a_line_and_marks_what_did_not_happen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(WELL, _CLAIMS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["version", "what", "digest"]
    assert "good canary" in lines[2]
    assert "10 > 25 > 50 > 100 %" in lines[2]
    assert lines[-2:] == ["✓ the sun rose: at 6", "✗ it rained: 0"]


def test_a_demo_without_chapters_has_claims_only(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Observed(), _CLAIMS)
    assert capsys.readouterr().out.strip().startswith("✓ the sun rose")
