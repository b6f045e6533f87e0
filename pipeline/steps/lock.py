"""Lock: the model's own requirements and a runtime become one hashed set of wheels.

Safe to repeat: the resolver is asked again, and nothing but its cache changes.
"""

import re
import sys

from pipeline.domain.evidence import DescribedModel, Lock, LockedModel, ModelDescription, Refused
from pipeline.domain.mlmodel import minor
from pipeline.domain.plan import Plan
from pipeline.ports import LockResolver
from pipeline.runtimes.table import OLDEST_MLFLOW, RUNTIMES, Runtime, Version

_HOST_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_PLAIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*([=<>!~;(][^@]*)?\Z")
_NUMBERS = re.compile(r"(\d+)\.(\d+)")


def lock(
    described: DescribedModel, *, plan: Plan, rebuild: bool, resolver: LockResolver
) -> LockedModel | Refused:
    """Choose the runtime and resolve it together with the model's requirements.

    ``runtime: auto`` takes the first of :data:`RUNTIMES` that resolves with this model. Where none
    does, the refusal is the last one's: it adds least, so it speaks most of the model itself.
    """
    subject = str(described.checked.resolved.model)
    description = described.description
    refusal = _unservable(subject, description)
    if refusal:
        return refusal
    for runtime in _candidates(plan.runtime):
        answer = _resolve(subject, description, runtime, resolver, fresh=rebuild)
        if isinstance(answer, Lock):
            return LockedModel(described, answer)
        refusal = answer
    return refusal or Refused(
        f"{subject}: there is no runtime {plan.runtime!r}; "
        f"write runtime: auto or one of {', '.join(r.name for r in RUNTIMES)}"
    )


def _candidates(name: str) -> tuple[Runtime, ...]:
    return tuple(runtime for runtime in RUNTIMES if name in {"auto", runtime.name})


def _unservable(subject: str, description: ModelDescription) -> Refused | None:
    if _version(description.mlflow_version) < OLDEST_MLFLOW:
        oldest = ".".join(map(str, OLDEST_MLFLOW))
        return Refused(
            f"{subject} was logged by MLflow {description.mlflow_version}, which Laurel cannot "
            f"serve yet: log it again with MLflow {oldest} or later"
        )
    python = minor(description.python_version)
    if python != _HOST_PYTHON:  # whose bytecode the environment gets, whatever the base is
        return Refused(
            f"{subject} was made with Python {python}, and environments are installed by the "
            f"Python {_HOST_PYTHON} that runs Laurel: log it from Python {_HOST_PYTHON}, or run "
            f"Laurel on Python {python}"
        )
    for line in description.requirements:
        if not _PLAIN.match(line) or " --" in line:
            return Refused(
                f"{subject}: the line {line[:120]!r} in requirements.txt names no package of a "
                "package index: publish what it needs as a wheel and require that by name"
            )
    return None


def _resolve(
    subject: str,
    description: ModelDescription,
    runtime: Runtime,
    resolver: LockResolver,
    *,
    fresh: bool,
) -> Lock | Refused:
    python = minor(description.python_version)
    if _version(description.mlflow_version) < runtime.mlflow_from:
        return Refused(
            f"{subject} was logged by MLflow {description.mlflow_version}, and runtime "
            f"{runtime.name} serves models from {'.'.join(map(str, runtime.mlflow_from))} on"
        )
    if runtime.python_before and _version(python) >= runtime.python_before:
        return Refused(
            f"{subject} needs Python {python}, for which runtime {runtime.name} has no release: "
            "write runtime: mlflow or runtime: auto"
        )
    answer = resolver.resolve(
        (*description.requirements, *_mlflow(description), *runtime.requirements),
        runtime=runtime.name,
        python_version=python,
        fresh=fresh,
    )
    if isinstance(answer, Refused):
        return Refused(
            f"{subject} with runtime {runtime.name}: {answer.reason}",
            {"runtime": runtime.name, **answer.evidence},
        )
    return answer


def _mlflow(description: ModelDescription) -> tuple[str, ...]:
    """Add MLflow itself where the model lists none, or only the part of it that cannot serve."""
    matches = (_PLAIN.match(line) for line in description.requirements)
    named = {match[1].lower() for match in matches if match}
    return () if "mlflow" in named else (f"mlflow=={description.mlflow_version}",)


def _version(text: str) -> Version:
    match = _NUMBERS.match(text)
    return (int(match[1]), int(match[2])) if match else (0, 0)
