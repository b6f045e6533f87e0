"""A small real image: packages by lock, weights, a server with numpy; and what asks it from inside.

Put together by Laurel's own builder, on whatever base; nothing that it needs is anywhere else.
"""

import sys
from pathlib import Path

from pipeline.adapters.bases import Bases
from pipeline.adapters.host_base import HostBase
from pipeline.adapters.image_base import ImageBase
from pipeline.adapters.layer_builder import LayerBuilder
from pipeline.adapters.layer_store import LayerStore
from pipeline.adapters.lock_environments import LockEnvironments
from pipeline.adapters.uv_resolver import UvResolver
from pipeline.domain.content import File
from pipeline.domain.evidence import Lock, Refused
from pipeline.domain.recipe import Made, Recipe
from pipeline.image.config import host_platform
from pipeline.ports import ImageRegistry
from pipeline.runtimes.serving import serve_files

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
WEIGHTS = bytes(range(100))
ANSWER = "4950 libgcc"  # what the model says: the sum of its weights, by numpy's compiled code
MODEL = b"""
import ctypes, pathlib, ssl, sqlite3
import numpy

def load(path):
    ctypes.CDLL("libgcc_s.so.1")
    weights = numpy.frombuffer(pathlib.Path(path, "weights").read_bytes(), dtype=numpy.uint8)
    answer = f"{weights.sum()} libgcc".encode()

    async def app(scope, receive, send):
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app
"""
PROBE = """
import errno, os, socket, time, urllib.error, urllib.request
base, deadline = "http://127.0.0.1:8080", time.monotonic() + 60

def get(path):
    with urllib.request.urlopen(base + path, timeout=10) as answer:
        return answer.read().decode()

while True:
    try:
        get("/v2/health/ready")
        break
    except (urllib.error.URLError, OSError):
        assert time.monotonic() < deadline, "never ready"
        os.sched_yield()
try:
    socket.create_connection(("192.0.2.1", 80), 5)
    network = "reached"
except OSError as error:
    network = errno.errorcode[error.errno]
print(get("/"), network, os.getuid())
"""
"""Waits until the server is ready; prints its answer, why no other host is reached, its user."""
PROBED = f"{ANSWER} ENETUNREACH 65532"


class OwnFeet:
    """Builds the image; environment and host base are kept below ``folder``."""

    def __init__(self, folder: Path) -> None:
        store, resolver = LayerStore(folder / "layers"), UvResolver()
        bases = Bases(HostBase(store), ImageBase(folder / "bases", None))
        self._builder = LayerBuilder(bases, LockEnvironments(resolver, store))
        lock = resolver.resolve(
            ["numpy", "uvicorn"], runtime="mlflow", python_version=PYTHON, fresh=True
        )
        assert isinstance(lock, Lock), lock
        self._lock = lock

    def build(self, base: str, repository: str, registry: ImageRegistry) -> Made:
        """Put the image together in a registry."""
        files = {**serve_files("mlflow"), "opt/laurel/laurel_runtime.py": MODEL}
        recipe = Recipe(
            repository=repository,
            base=base,
            platform=host_platform(),
            lock=self._lock,
            model=((File.of("mnt/models/weights", WEIGHTS),),),
            serving=tuple(
                File.of(path, content, executable=path.endswith("serve"))
                for path, content in files.items()
            ),
            env={"PYTHONPATH": "/opt/laurel/env", "PYTHONDONTWRITEBYTECODE": "1"},
            entrypoint="/opt/laurel/serve",
            labels=lambda base: {"org.opencontainers.image.base.digest": base.digest.value},
        )
        made = self._builder.build(recipe, registry=registry)
        assert not isinstance(made, Refused), made.reason
        return made
