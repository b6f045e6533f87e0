"""Laurel's build step in a process of its own, with nothing in it that the step does not need.

``python -m tests.benchmarks.build_process CACHE HOST BASE``: each line of its input, as JSON, names
a model (``uri``) and a ``repository``; each line of its output says what building and pushing took.
One line and the end of input is a command; more lines are a running worker.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from pipeline.adapters.image_base import ImageBase
from pipeline.adapters.layer_builder import LayerBuilder
from pipeline.adapters.layer_store import LayerStore
from pipeline.adapters.lock_environments import LockEnvironments
from pipeline.adapters.mlflow_artifacts import MlflowArtifacts
from pipeline.adapters.mlflow_rest import MlflowRest
from pipeline.adapters.uv_resolver import UvResolver
from pipeline.domain.evidence import BuiltImage, Refused
from pipeline.steps.build import build
from tests.benchmarks.image_evidence import locked, plan_for, remote_registry
from tests.benchmarks.memory import Watch, peak_memory

_NO_SERVER = "http://127.0.0.1:9"  # MLflow's, which these models' files do not lie behind


class Builder:
    """What a worker holds on to between promotions.

    Parameters
    ----------
    cache
        Where is remembered what the base consists of, and where the environment lies.
    host
        The registry.
    base
        What images stand on, by digest.

    """

    def __init__(self, cache: Path, host: str, base: str) -> None:
        environments = LockEnvironments(UvResolver(), LayerStore(cache / "layers"))
        self._builder = LayerBuilder(ImageBase(cache / "bases", None), environments)
        self._registry = remote_registry(host)
        self._host = host
        self._base = base
        self._store = MlflowArtifacts(MlflowRest(_NO_SERVER))
        self._watch = Watch()

    def build(self, uri: str, repository: str) -> dict[str, Any]:
        """Build and push one model; tell what it took."""
        files = self._store.files(uri)
        if isinstance(files, Refused):
            raise SystemExit(files.reason)
        with self._watch.watching() as written:
            started = time.perf_counter()
            built = build(
                locked(uri, files),
                plan=plan_for(f"{self._host}/{repository}", self._base),
                store=self._store,
                builder=self._builder,
                registry=self._registry,
            )
            seconds = time.perf_counter() - started
        if not isinstance(built, BuiltImage):
            raise SystemExit(built.reason)
        return {
            "image": str(built.ref),
            "seconds": seconds,
            "peak": peak_memory(),
            "written": written.to_disk,
            "files": written.files,
        }


def main() -> None:
    """Build what standard input names."""
    cache, host, base = sys.argv[1:]
    builder = Builder(Path(cache), host, base)
    for line in sys.stdin:
        asked = json.loads(line)
        took = builder.build(asked["uri"], asked["repository"])
        print(json.dumps(took), flush=True)  # noqa: T201 - the parent waits for it


if __name__ == "__main__":
    main()
