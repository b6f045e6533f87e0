"""The demo's data scientist: a child process that trains models and moves the alias in MLflow."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.demo.processes import Child, tail
from pipeline.errors import PermanentError


@dataclass(frozen=True, slots=True)
class Version:
    """A registered model version: its number, the run's name, and the AUC that MLflow shows."""

    version: int
    name: str
    auc: float


class DataScientist:
    """Speaks with ``pipeline.demo.models``; training begins at once, MLflow may still be starting.

    Parameters
    ----------
    folder
        Where the child runs and logs.
    mlflow_url
        The tracking server that it will use.

    """

    def __init__(self, folder: Path, mlflow_url: str) -> None:
        argv = [sys.executable, "-m", "pipeline.demo.models"]
        more = {"MLFLOW_TRACKING_URI": mlflow_url, "MLFLOW_DISABLE_TELEMETRY": "true"}
        self._child = Child("data-scientist", argv, folder, more, talks=True)

    def trained(self) -> None:
        """Wait until the three models are trained."""
        self._answer()

    def register(self, model: str, *, webhook: str, secret: str) -> tuple[Version, ...]:
        """Have the models registered as versions of ``model``, and moves delivered to Laurel."""
        answer = self._ask({"register": model, "webhook": webhook, "secret": secret})
        return tuple(Version(**version) for version in answer)

    def make_champion(self, model: str, version: int) -> None:
        """Have ``@champion`` moved, through MLflow's own client."""
        self._ask({"champion": version, "of": model})

    def stop(self) -> None:
        """Send the child home."""
        self._child.stop()

    def _ask(self, request: dict[str, object]) -> Any:  # noqa: ANN401 - JSON
        try:
            self._child.say(json.dumps(request).encode())
        except BrokenPipeError:
            raise self._ended() from None
        return self._answer()

    def _answer(self) -> Any:  # noqa: ANN401 - JSON
        line = self._child.hear()
        if not line:
            raise self._ended()
        return json.loads(line)

    def _ended(self) -> PermanentError:
        return PermanentError("use MLflow's client", "pipeline.demo.models", tail(self._child.log))
