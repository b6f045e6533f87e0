"""Models and an environment so small that a promotion takes seconds, and every part of it is real.

The image carries the real ``serve`` script, the real application of runtime ``mlflow``, the host's
real Python and a real uvicorn. What stands in is MLflow's library: a model is one JSON file.
"""

import json
import platform
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import distribution
from pathlib import Path

from pipeline.adapters.uv_environment import compile_bytecode
from pipeline.domain.evidence import Lock, Refused
from pipeline.domain.references import Digest

EXAMPLE = b'{"inputs": ["the logged example"]}'
_COPIED = ("uvicorn", "h11", "click")
_FASTAPI = """
import asyncio

class FastAPI:
    def __init__(self, model):
        self.model = model

    async def __call__(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        try:
            status, answer = 200, self.model.predict(body)
        except Exception as error:
            status, answer = 500, str(error).encode()
        await asyncio.sleep(self.model.said["seconds"])
        version = b"%d" % self.model.said["number"]
        headers = [(b"content-length", b"%d" % len(answer)), (b"x-model-version", version)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})
"""
_PYFUNC = """
import json
import os
import time

class Model:
    def __init__(self, said):
        self.said, self.asked = said, 0

    def predict(self, body):
        if b"the logged example" not in body:
            self.asked += 1
            self.misbehave()
        return b"%d" % self.said["number"]

    def misbehave(self):
        if self.said["fails"]:
            raise ValueError("not what it was logged with")
        if self.said["fails_every"] and self.asked % self.said["fails_every"] == 0:
            raise ValueError("the tenth at the latest")
        if self.asked == self.said["crashes_at"]:
            print("fatal: the model's cache is corrupt", flush=True)
            os._exit(3)
        if self.asked == self.said["hangs_at"]:
            time.sleep(100000)
        if self.asked == self.said["eats_at"]:
            eaten = []
            while True:
                eaten.append(bytearray(8 << 20))

def load_model(path):
    with open(path + "/light.json") as file:
        said = json.load(file)
    if said["broken"]:
        raise SystemExit("this model cannot be loaded")
    if "K_REVISION" in os.environ:
        if said["never_ready"]:
            print("waiting for the feature store", flush=True)
            time.sleep(100000)
        if said["crashes_at"] == 0:
            print("fatal: no feature store at features.internal", flush=True)
            os._exit(3)
    return Model(said)
"""
_SCORING_SERVER = """
from fastapi import FastAPI

def init(model):
    return FastAPI(model)
"""
_ENVIRONMENT = {
    "fastapi.py": _FASTAPI,
    "mlflow/__init__.py": "",
    "mlflow/exceptions.py": "class MlflowException(Exception): pass",
    "mlflow/pyfunc/__init__.py": _PYFUNC,
    "mlflow/pyfunc/scoring_server.py": _SCORING_SERVER,
}


@dataclass(frozen=True)
class LightModel:
    """A model that answers its own number, and is good unless it says otherwise.

    Its logged example it always answers: what smoke tries is good.

    Parameters
    ----------
    number
        What it answers, and says in ``X-Model-Version``.
    fails, fails_every
        Whether it fails on all requests, or on every n-th.
    broken
        Whether it cannot be loaded.
    seconds
        How long an answer takes.
    never_ready
        Whether loading never ends, where Knative runs it and nowhere else.
    crashes_at
        Which request ends it, with a last word; 0: its start, where Knative runs it.
    hangs_at, eats_at
        Which request makes it hang, alive, or eat all memory.

    """

    number: int
    fails: bool = False
    broken: bool = False
    fails_every: int = 0
    seconds: float = 0.0
    never_ready: bool = False
    crashes_at: int = -1
    hangs_at: int = -1
    eats_at: int = -1

    def write(self, folder: Path) -> Path:
        """Write it as ``log_model`` would."""
        python = platform.python_version()
        flavor = {"python_function": {"loader_module": "light", "python_version": python}}
        described = {"flavors": flavor, "mlflow_version": "3.17.2"}
        folder.mkdir(parents=True)
        (folder / "MLmodel").write_text(json.dumps(described))
        (folder / "requirements.txt").write_text("light==1\n")
        (folder / "serving_input_example.json").write_bytes(EXAMPLE)
        (folder / "light.json").write_text(json.dumps(asdict(self)))
        return folder


def light_packages() -> dict[str, bytes]:
    """Give the files of the light environment, as one wheel could hold them."""
    found = {path: content.encode() for path, content in _ENVIRONMENT.items()}
    for package in _COPIED:
        source = Path(str(distribution(package).locate_file(package)))
        for file in sorted(source.rglob("*.py")):
            found[f"{package}/{file.relative_to(source)}"] = file.read_bytes()
    return found


class LightResolver:
    """Resolves everything to the light environment (``ports.LockResolver``)."""

    def resolve(
        self,
        requirements: Iterable[str],
        *,
        runtime: str,
        python_version: str,
        fresh: bool = False,  # noqa: ARG002 - every answer is
    ) -> Lock | Refused:
        """Lock what the model asks for, as it asks for it."""
        text = "\n".join([*requirements, *_ENVIRONMENT.values()])
        return Lock(text, Digest.of(text.encode()), runtime, python_version)

    def install(self, lock: Lock, target: Path, *, python: Path) -> None:
        """Put uvicorn and the stand-ins there."""
        del lock
        for package in _COPIED:
            source = Path(str(distribution(package).locate_file(package)))
            shutil.copytree(source, target / package, ignore=shutil.ignore_patterns("__pycache__"))
        for path, content in _ENVIRONMENT.items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(content)
        compile_bytecode(target, python)
