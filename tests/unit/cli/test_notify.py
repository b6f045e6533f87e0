"""Trying the channels by which people are told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.receiving import Receiver, receiving
from tests.unit.cli.conftest import answer, laurel


@pytest.fixture
def receiver(folder: Path) -> Iterator[Receiver]:
    """Lend a receiver, and a laurel.yaml with two channels that lead to it."""
    with receiving() as made:
        channels = "".join(
            f"- {{name: {name}, webhook: '{made.url}?hunter2', secret_file: it}}\n"
            for name in ("audit", "copy")
        )
        (folder / "it").write_text("a secret")
        (folder / "laurel.yaml").write_text(f"notifications:\n{channels}")
        yield made


def test_every_channel_is_tried_and_nothing_pretends_to_have_happened(receiver: Receiver) -> None:
    result = laurel("notify")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "CHANNEL  RESULT",
        "audit    delivered",
        "copy     delivered",
    ]
    assert [posted.json["type"] for posted in receiver.posted] == ["dev.laurel.trial"] * 2


def test_one_channel_may_be_tried_alone(receiver: Receiver) -> None:
    assert answer("notify", "copy") == [{"channel": "copy", "delivered": True, "why": ""}]
    assert len(receiver.posted) == 1


def test_one_that_is_not_taken_ends_with_3_and_says_why(receiver: Receiver) -> None:
    receiver.status = 401
    result = laurel("notify", "audit")
    assert result.exit_code == 3
    assert "compare the secrets of both sides" in result.stdout
    assert "hunter2" not in result.output


@pytest.mark.usefixtures("receiver")
def test_a_channel_that_is_not_there_is_told_with_those_that_are() -> None:
    result = laurel("notify", "ops")
    assert result.exit_code == 2
    assert "no channel 'ops': it has audit, copy" in result.stderr


def test_without_channels_there_is_nothing_to_try(folder: Path) -> None:
    (folder / "laurel.yaml").write_text("{}")
    assert laurel("notify").stdout == "CHANNEL  RESULT\n"
    assert "it has none" in laurel("notify", "ops").stderr
