import json
from pathlib import Path

import pytest

from pipeline import wiring
from pipeline.settings.load import load_settings
from pipeline.steps.sign import sign
from tests.fakes.baked_image import bake
from tests.fakes.clock import FakeClock
from tests.unit.cli.conftest import laurel


@pytest.fixture
def signed(folder: Path) -> str:
    """Make an image in the layout that `laurel init` names, signed with its key."""
    laurel("init")
    settings = load_settings(folder / "laurel.yaml", {})
    registry = wiring.open_images(settings)
    smoked = bake(registry)
    sign(
        smoked,
        registry=registry,
        signer=wiring.signer(settings),
        policy=wiring.trust_policy(settings),
        clock=FakeClock(),
        promotion_id="p-1",
    )
    return str(smoked.built.ref)


def test_a_signed_image_is_trusted_and_each_requirement_told(signed: str) -> None:
    result = laurel("verify", signed)
    assert result.exit_code == 0, result.stderr
    verdicts = [line.split()[:2] for line in result.stdout.splitlines()[1:]]
    assert ["signature", "pass"] in verdicts
    assert ["provenance", "pass"] in verdicts


def test_an_image_that_another_key_signed_is_refused(signed: str, folder: Path) -> None:
    for name in ("laurel.key", "laurel.pub"):
        (folder / name).unlink()
    laurel("keys", "create")
    result = laurel("verify", signed, "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["trusted"]) == (1, False)
    refused = [row["requirement"] for row in answer["findings"] if row["verdict"] == "fail"]
    assert refused == ["signature", "provenance"]
    assert "is not to be trusted" in result.stderr


def test_an_image_that_nobody_has_is_refused(signed: str) -> None:
    absent = signed[:-4] + ("0000" if signed[-4:] != "0000" else "1111")
    assert laurel("verify", absent).exit_code == 1


def test_a_tag_is_no_image(signed: str) -> None:
    result = laurel("verify", signed.partition("@")[0] + ":latest")
    assert result.exit_code == 2
    assert "tags move" in result.stderr
