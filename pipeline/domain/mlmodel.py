"""What an MLflow model's own files say of it (MLflow's model format), as plain parsed values."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pipeline.domain.evidence import ModelDescription, Refused

_PYTHON = re.compile(r"(\d+\.\d+)(\.\d+)?\Z")


def describe(
    subject: str, mlmodel: object, python_env: object, requirements: str, example: str | None
) -> ModelDescription | Refused:
    """Read a model's description, or say in one sentence what it lacks.

    Parameters
    ----------
    subject
        The model version, for the sentence.
    mlmodel, python_env
        ``MLmodel`` and ``python_env.yaml`` as YAML reads them; whatever a stranger wrote there.
    requirements
        The text of ``requirements.txt``.
    example
        The text of ``serving_input_example.json``, where one was logged.

    """
    described = _mapping(mlmodel)
    flavors = _mapping(described.get("flavors"))
    pyfunc = _mapping(flavors.get("python_function"))
    if not pyfunc:
        return Refused(
            f"{subject} has no python_function flavor in its MLmodel, so nothing can serve it: "
            "log it with an MLflow flavor (mlflow.<library>.log_model or mlflow.pyfunc.log_model)"
        )
    lines = tuple(_requirement_lines(requirements))
    if not lines:
        return Refused(
            f"{subject} has no requirements.txt that names a package: "
            "log it with pip_requirements, so that its image gets the packages it was made with"
        )
    mlflow_version = described.get("mlflow_version")
    if not isinstance(mlflow_version, str):
        return Refused(
            f"{subject} does not say its mlflow_version: log it with MLflow 2.19 or later"
        )
    python = _mapping(python_env).get("python", pyfunc.get("python_version"))
    if not (isinstance(python, str | float) and _PYTHON.match(str(python))):
        return Refused(
            f"{subject} does not say its Python version: log it again, "
            "so that MLflow writes python_env.yaml"
        )
    return ModelDescription(
        mlflow_version=mlflow_version,
        python_version=str(python),
        flavors=tuple(sorted(map(str, flavors))),
        requirements=lines,
        example=example,
        signature=signature(described),
    )


def minor(version: str) -> str:
    """Shorten a Python version to what an environment depends on: ``3.11.7`` to ``3.11``."""
    return ".".join(version.split(".")[:2])


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _requirement_lines(text: str) -> list[str]:
    lines = (line.split(" #")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def signature(mlmodel: object) -> str | None:
    """Keep the texts that MLflow writes: whatever else may repeat itself beyond any memory."""
    said = _mapping(_mapping(mlmodel).get("signature"))
    texts = {str(part): text for part, text in said.items() if isinstance(text, str)}
    return json.dumps(texts, sort_keys=True) if texts else None
