"""What a runtime puts into an image besides packages: its start, and its environment variables."""

from importlib.resources import files

from pipeline.runtimes.table import MLFLOW, MLSERVER

_APPLICATIONS = {MLSERVER.name: "laurel_mlserver.py", MLFLOW.name: "laurel_mlflow.py"}


def serve_files(runtime: str) -> dict[str, bytes]:
    """Return the files that start a runtime, by their path inside the image (interfaces §6).

    ``serve`` is the same for every runtime: it opens the port and imports ``laurel_runtime``,
    which imports ``laurel_faults``.
    """
    image = files("pipeline.runtimes") / "image"
    return {
        "opt/laurel/serve": (image / "serve.py").read_bytes(),
        "opt/laurel/laurel_runtime.py": (image / _APPLICATIONS[runtime]).read_bytes(),
        "opt/laurel/laurel_faults.py": (image / "laurel_faults.py").read_bytes(),
    }


def runtime_env(slug: str) -> dict[str, str]:
    """Return the variables that every runtime wants; ``slug`` is the model's name in URLs."""
    return {
        "LAUREL_MODEL_NAME": slug,
        "MLFLOW_DISABLE_TELEMETRY": "true",  # it would try to reach the network at every start
    }
