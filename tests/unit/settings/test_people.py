"""What promotions wait for, as laurel.yaml says it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.domain.admission import Limits, Rules
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings
from pipeline.settings.load import load_settings
from pipeline.wiring.people import freezes, rules


def load(folder: Path, text: str) -> Settings:
    path = folder / "laurel.yaml"
    path.write_text(text + "\nservices: [{name: fraud, model: m, require: {approvals: 2}}]\n")
    return load_settings(path, {})


def test_approvals_freezes_and_limits_become_values(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
approvals: {expire: 2d}
limits: {canaries: 3, per_namespace: 1}
freeze:
  - {cron: "0 18 * * FRI", duration: 62h, timezone: Europe/Berlin, services: [fraud], reason: quiet}
""",
    )
    assert settings.plans()["fraud"].approvals == 2
    assert rules(settings) == Rules(timedelta(days=2), Limits(3, 1))
    frozen = freezes(settings).frozen("fraud", datetime(2026, 11, 20, 17, 30, tzinfo=UTC))
    assert frozen is not None
    assert frozen.reason == "quiet"


def test_a_namespace_is_part_of_the_plan(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "serving: {target: kserve, namespace: ml}\n"
        "metrics: {source: envoy, url: http://gateway:9000}\nregistry: registry.example.com/ml\n",
    )
    assert settings.plans()["fraud"].namespace == "ml"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("freeze: [{cron: soon, duration: 1h}]", "is no cron: write minute hour day"),
        ("freeze: [{cron: '@daily', duration: 1h}]", "is no cron"),
        ("freeze: [{cron: '0 0 30 2 * *', duration: 1h}]", "is no cron"),
        ("freeze: [{cron: '0 25 * * *', duration: 1h}]", "is no cron"),
        ("freeze: [{cron: '0 1 * * *', duration: 1h, timezone: Mars/Base}]", "no time zone 'Mars"),
        ("freeze: [{cron: '0 1 * * *', duration: 1h, timezone: ../etc}]", "is no time zone"),
        ("freeze: [{cron: '0 1 * * *', duration: 0}]", "greater than 0"),
        ("freeze: [{cron: '0 1 * * *', duration: 1h, services: [x]}]", "there is no service 'x'"),
        ("limits: {canaries: 0}", "greater than or equal to 1"),
    ],
)
def test_a_mistake_is_answered_with_the_key(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        load(tmp_path, text)
