from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from pipeline.domain.evidence import BuiltImage, Refused, SmokedImage
from pipeline.domain.plan import EnvVar
from pipeline.domain.serving import Readiness
from pipeline.steps.smoke import smoke
from tests.fakes.baked_image import bake
from tests.fakes.clock import FakeClock
from tests.fakes.image_registry import InMemoryRegistry
from tests.unit.steps.model_scene import PLAN

SIGNATURE = '{"inputs": "[{\\"type\\": \\"double\\", \\"name\\": \\"amount\\"}]"}'


@dataclass
class Runner:
    """Runs a model server that behaves as a test wants it to."""

    readinesses: list[Readiness] = field(default_factory=lambda: [Readiness.READY])
    status: int = 200
    asked: list[bytes] = field(default_factory=list)
    running: bool = False
    env: tuple[EnvVar, ...] = ()

    @contextmanager
    def run(self, image: BuiltImage, env: tuple[EnvVar, ...]) -> Iterator["Runner"]:
        assert image.runtime
        self.env = env
        self.running = True
        try:
            yield self
        finally:
            self.running = False

    def readiness(self) -> Readiness:
        assert self.running
        return self.readinesses.pop(0) if len(self.readinesses) > 1 else self.readinesses[0]

    def invoke(self, body: bytes) -> tuple[int, bytes]:
        assert self.running
        self.asked.append(body)
        return self.status, b'{"error":\n "no such column"}'

    def output(self) -> str:
        assert self.running
        return "Traceback\nValueError: no weights\n\n"


@pytest.fixture
def built() -> BuiltImage:
    built = bake(InMemoryRegistry()).built
    return replace(built, example='{"inputs": [1]}', signature=SIGNATURE)


def smoked(built: BuiltImage, runner: Runner) -> SmokedImage | Refused:
    answer = smoke(built, plan=PLAN, runner=runner, clock=FakeClock())
    assert not runner.running
    return answer


def test_a_model_that_answers_its_example_passes(built: BuiltImage) -> None:
    runner = Runner([Readiness.STARTING, Readiness.STARTING, Readiness.READY])
    assert smoked(built, runner) == SmokedImage(built, "example", 0.2)
    assert runner.asked == [b'{"inputs": [1]}']


def test_the_services_variables_are_given_to_the_model(built: BuiltImage) -> None:
    runner = Runner()
    env = (EnvVar("REGION", "eu"),)
    smoke(built, plan=replace(PLAN, env=env), runner=runner, clock=FakeClock())
    assert runner.env == env


def test_a_model_that_fails_its_own_example_is_refused(built: BuiltImage) -> None:
    answer = smoked(built, Runner(status=400))
    assert isinstance(answer, Refused)
    assert "fraud/7 answers its own logged example with 400" in answer.reason
    assert '{"error": "no such column"}' in answer.reason


def test_a_server_that_ends_is_refused_with_its_last_line(built: BuiltImage) -> None:
    answer = smoked(built, Runner([Readiness.STARTING, Readiness.FAILED]))
    assert answer == Refused(
        "fraud/7 ended instead of becoming ready: ValueError: no weights; "
        "mend the model and register a new version",
        {"output": "Traceback\nValueError: no weights\n\n"},
    )


def test_a_server_that_never_becomes_ready_is_refused_in_bounded_time(built: BuiltImage) -> None:
    clock = FakeClock()
    answer = smoke(built, plan=PLAN, runner=Runner([Readiness.STARTING]), clock=clock)
    assert isinstance(answer, Refused)
    assert "not ready after 300 s" in answer.reason
    assert clock.elapsed < 310


def test_without_an_example_values_are_made_up_from_the_signature(built: BuiltImage) -> None:
    runner = Runner()
    answer = smoked(replace(built, example=None), runner)
    assert isinstance(answer, SmokedImage)
    assert answer.answered == "signature"
    assert runner.asked == [b'{"dataframe_split": {"columns": ["amount"], "data": [[1.0]]}}']


def test_an_error_on_made_up_values_is_a_warning(built: BuiltImage) -> None:
    answer = smoked(replace(built, example=None), Runner(status=500))
    assert isinstance(answer, SmokedImage)
    assert answer.answered == "ready"
    assert "made-up values with 500" in answer.warnings[0]


def test_a_server_that_ends_on_made_up_values_is_refused(built: BuiltImage) -> None:
    runner = Runner([Readiness.READY, Readiness.FAILED], status=500)
    answer = smoked(replace(built, example=None), runner)
    assert isinstance(answer, Refused)
    assert "ended on a request that its signature allows" in answer.reason


@pytest.mark.parametrize("signature", [None, '{"inputs": null}'])
def test_with_neither_being_ready_is_enough_and_says_so(
    built: BuiltImage, signature: str | None
) -> None:
    answer = smoked(replace(built, example=None, signature=signature), Runner())
    assert isinstance(answer, SmokedImage)
    assert answer.answered == "ready"
    assert "no example and no signature" in answer.warnings[0]
