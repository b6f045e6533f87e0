"""Approve, pause, resume and complete, as they are typed."""

from dataclasses import replace

import pytest

from pipeline.domain.access import Grant, Role
from pipeline.domain.promotion import Phase, Promotion
from pipeline.ledger import new_token
from tests.unit.cli.conftest import FIRST, NOW, Served, answer, draft, laurel


def waiting(served: Served) -> Promotion:
    wanted = draft(1)
    plan = replace(wanted.plan, approvals=2)
    accepted = served.ledger.promotions.accept(replace(wanted, plan=plan))
    return served.ledger.promotions.change(accepted.id, phase=Phase.RUNNING, image=FIRST)


def test_an_approver_agrees_to_the_image_that_they_looked_at(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, made = new_token("ada", Grant(frozenset({Role.APPROVER})), NOW, None)
    served.ledger.tokens.add(made)
    monkeypatch.setenv("LAUREL_TOKEN", text)
    found = waiting(served)
    result = laurel("approve", found.id, "--image", FIRST.digest.value, "--comment", "good")
    assert result.exit_code == 0, result.stderr
    assert "good" in result.stdout
    assert f"1 of 2 agree to {FIRST}" in result.stderr
    refused = laurel("approve", found.id, "--image", f"sha256:{'0' * 64}")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert FIRST.digest.value in refused.stderr


def test_an_operator_is_no_approver(served: Served) -> None:
    result = laurel("approve", waiting(served).id)
    assert result.exit_code == 2
    assert "needs the role approver" in result.stderr


def test_a_promotion_is_paused_and_resumed_and_told_so(served: Served) -> None:
    found = waiting(served)
    assert answer("pause", found.id, "--reason", "wait for support")["id"] == found.id
    paused = served.ledger.controls.steering(found.id).paused
    assert paused is not None
    assert paused.reason == "wait for support"
    assert answer("resume", found.id)["id"] == found.id
    refused = laurel("complete", found.id)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "it has no canary that could be completed" in refused.stderr
