"""Which runtime serves which model: the pairs known to serve, as data.

A resolution that succeeds is not yet an environment that runs, so the resolver alone cannot
choose: MLServer 1.7.0 resolves with any protobuf and imports with few (MLServer#2151), and with
uvloop 0.22 MLServer's worker dies (MLServer#2286).
"""

from dataclasses import dataclass

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Runtime:
    """A model server that can be baked into an image beside the model's own packages.

    Parameters
    ----------
    name
        What ``runtime:`` in laurel.yaml says.
    requirements
        What it adds to the model's own requirements.
    mlflow_from
        The first MLflow whose models it serves.
    python_before
        The first Python that it has no release for; ``None`` where any will do.

    """

    name: str
    requirements: tuple[str, ...]
    mlflow_from: Version
    python_before: Version | None = None


MLSERVER = Runtime(
    "mlserver",
    ("mlserver==1.7.1", "mlserver-mlflow==1.7.1", "uvloop<0.22"),
    mlflow_from=(2, 19),  # mlserver-mlflow 1.7.1 requires it
    python_before=(3, 13),  # mlserver 1.7.1: Requires-Python <3.13
)
MLFLOW = Runtime(
    "mlflow",
    (),  # MLflow itself brings FastAPI and uvicorn
    mlflow_from=(2, 21),  # before that, its scoring server was a Flask application
)

RUNTIMES = (MLSERVER, MLFLOW)
"""In the order in which ``runtime: auto`` tries them."""

OLDEST_MLFLOW: Version = (2, 19)
"""Models logged by an older MLflow are refused: no pair was seen to serve them."""
