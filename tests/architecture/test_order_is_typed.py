"""The order of a promotion is a matter of types: what is skipped or swapped does not check."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PROMISE = """
from pipeline.domain.evidence import (
    AdmittedImage,
    CanaryRevision,
    CheckedModel,
    ProvenRevision,
    SignedImage,
    VerifiedImage,
)
from pipeline.tools import Tools
from pipeline.run import Run
from pipeline.steps.attest_deployment import attest_deployment
from pipeline.steps.canary import canary
from pipeline.steps.deploy import deploy
from pipeline.steps.describe import describe
from pipeline.steps.lock import lock
from pipeline.steps.verify import verify


def roll_out(image: {image}, run: Run, tools: Tools) -> None:
    run.step(
        deploy,
        image,
        plan=run.promotion.plan,
        sequence=1,
        target=tools.target,
        clock=tools.clock,
        journal=run.record,
        still_wanted=lambda: None,
    )


def rise(revision: {revision}, run: Run, tools: Tools) -> None:
    run.step(
        canary,
        revision,
        plan=run.promotion.plan,
        sequence=1,
        target=tools.target,
        metrics=tools.metrics,
        clock=tools.clock,
        journal=run.record,
        freezes=tools.freezes,
        still_wanted=lambda: None,
    )


def bake(checked: CheckedModel, run: Run, tools: Tools) -> None:
    {described} = run.step(describe, checked, store=tools.artifacts)
    run.step(
        lock, {locked}, plan=run.promotion.plan, rebuild=False, resolver=tools.resolver
    )
"""


def check(folder: Path, **holes: str) -> str:
    """Type-check a promotion with these words in its holes; return what the checker says."""
    asked = {
        "image": "AdmittedImage",
        "revision": "ProvenRevision",
        "described": "described",
        "locked": "described",
        **holes,
    }
    program = folder / "promotion.py"
    program.write_text(_PROMISE.format(**asked))
    cache = ROOT / ".mypy_cache"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(cache), str(program)],
        cwd=ROOT,
        env={"MYPYPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("holes", "complaint"),
    [
        ({"image": "SignedImage"}, '"SignedImage"; expected "AdmittedImage"'),
        ({"image": "VerifiedImage"}, '"VerifiedImage"; expected "AdmittedImage"'),
        ({"revision": "CanaryRevision"}, '"CanaryRevision"; expected "ProvenRevision"'),
        ({"locked": "checked"}, '"CheckedModel"; expected "DescribedModel"'),
    ],
    ids=[
        "what was only signed does not deploy",
        "what nobody let in does not deploy",
        "what was not proved takes no traffic",
        "what was not described is not locked",
    ],
)
def test_a_skipped_step_fails_type_checking(
    tmp_path: Path, holes: dict[str, str], complaint: str
) -> None:
    assert complaint in check(tmp_path, **holes)


def test_the_steps_in_their_order_check(tmp_path: Path) -> None:
    assert "Success" in check(tmp_path)
