"""Model servers as images: one small program, and the knobs that it is told."""

from collections.abc import Callable

from tests.cluster.stack.binaries import program
from tests.cluster.stack.images import Images
from tests.cluster.stack.place import Place

Model = Callable[..., str]


def pushing(place: Place) -> Model:
    """Push to the cluster's registry: ``model("v1", ERROR_RATE="0.1")`` is an image by digest.

    The knobs are in ``stack/go/modelserver``; the same name and knobs are the same digest.
    """
    images = Images(place.registry)

    def push(version: str, **knobs: str) -> str:
        lines = [f"{name}={value}\n" for name, value in {"VERSION": version, **knobs}.items()]
        files = {"/knobs": "".join(lines)}
        return images.push(f"model:{version}", program("modelserver"), "/modelserver", files)

    return push
