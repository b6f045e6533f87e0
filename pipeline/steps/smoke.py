"""Smoke: the built image starts, becomes ready and answers, where it can touch nothing.

Safe to repeat: each run starts the image anew and ends everything it started.
"""

from pipeline.domain.evidence import BuiltImage, Refused, SmokedImage
from pipeline.domain.invented import invented_request
from pipeline.domain.plan import Plan
from pipeline.domain.serving import Readiness
from pipeline.ports import Clock, ModelRunner, RunningModel

_PATIENCE = 300.0
_LOOK_EVERY = 0.1
_OK = 200
_SHOWN = 300


def smoke(
    built: BuiltImage, *, plan: Plan, runner: ModelRunner, clock: Clock
) -> SmokedImage | Refused:
    """Start the image and ask it what the model was logged with (interfaces §8.17).

    A logged example must be answered. Values made up from the signature need not be: an error on
    them is a warning.
    """
    started = clock.now()
    with runner.run(built, plan.env) as running:
        refused = _until_ready(built, running, clock)
        if refused:
            return refused
        asked = _ask(built, running)
    if isinstance(asked, Refused):
        return asked
    answered, warnings = asked
    return SmokedImage(built, answered, (clock.now() - started).total_seconds(), warnings)


def _until_ready(built: BuiltImage, running: RunningModel, clock: Clock) -> Refused | None:
    started = clock.now()
    while (readiness := running.readiness()) is not Readiness.READY:
        waited = (clock.now() - started).total_seconds()
        if readiness is Readiness.FAILED:
            return _refuse(running, f"{built.model} ended instead of becoming ready")
        if waited > _PATIENCE:
            return _refuse(running, f"{built.model} was not ready after {waited:.0f} s")
        clock.sleep(_LOOK_EVERY)
    return None


def _ask(built: BuiltImage, running: RunningModel) -> tuple[str, tuple[str, ...]] | Refused:
    if built.example is not None:
        status, answer = running.invoke(built.example.encode())
        if status == _OK:
            return "example", ()
        return _refuse(
            running,
            f"{built.model} answers its own logged example with {status} {_shown(answer)}",
        )
    request = invented_request(built.signature) if built.signature else None
    if request is None:
        return "ready", (f"{built.model} has no example and no signature to make one from",)
    status, answer = running.invoke(request.encode())
    if status == _OK:
        return "signature", ()
    if running.readiness() is not Readiness.READY:
        return _refuse(running, f"{built.model} ended on a request that its signature allows")
    return "ready", (f"{built.model} answers made-up values with {status} {_shown(answer)}",)


def _refuse(running: RunningModel, what: str) -> Refused:
    output = running.output()
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "no output")
    return Refused(
        f"{what}: {last.strip()[:_SHOWN]}; mend the model and register a new version",
        {"output": output},
    )


def _shown(answer: bytes) -> str:
    return " ".join(answer.decode(errors="replace").split())[:_SHOWN]
