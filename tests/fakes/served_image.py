"""Images that really run: this host's Python and one script, as ``build`` would leave them."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pipeline.adapters.host_base import HostBase
from pipeline.adapters.layer_store import LayerStore
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.domain.content import Content, Entry, File
from pipeline.domain.evidence import BuiltImage, VerifiedImage
from pipeline.domain.oci import IMAGE_CONFIG, IMAGE_MANIFEST, Base, Descriptor, Layer
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.image.config import ImageConfig, host_platform
from pipeline.image.manifest import Manifest
from pipeline.image.tar import tar_content
from pipeline.ports import ImageRegistry

NONE = Digest.of(b"")
SERVER = """
import http.server, json, os, signal, socket, socketserver, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *ignored):
        pass

    def do_GET(self):
        self.answer(200 if self.path != "/v2/health/ready" or ready() else 503, b"{}")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(*invoke(body))

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True

    def __init__(self, listener):
        socketserver.BaseServer.__init__(self, None, Handler)
        self.socket = listener
        self.address_family = listener.family

    def get_request(self):
        return self.socket.accept()[0], ("front", 0)

def listening():
    inherited = os.environ.get("LAUREL_LISTEN_FD")
    if inherited:
        return socket.socket(fileno=int(inherited))
    return socket.create_server(("0.0.0.0", 8080))

def ready():
    return True

def invoke(body):
    return 200, body

{model}
print("serving", flush=True)
Server(listening()).serve_forever()
"""


class ImageMaker:
    """Makes images, in a layout below ``folder`` or a registry; the base layer is made once."""

    def __init__(
        self, folder: Path, registry: ImageRegistry | None = None, repository: str = "fraud"
    ) -> None:
        self.folder = folder
        self.registry = registry or LayoutRegistry(folder / "images")
        self.repository = repository
        self._store = LayerStore(folder / "layers")

    def serve(self, model: str = "", *, version: int = 1) -> VerifiedImage:
        """Make an image whose server runs ``model``: it may redefine ``ready`` and ``invoke``."""
        return self.image(SERVER.replace("{model}", model), version=version)

    def image(
        self, script: str, *, version: int = 1, interpreter: str | None = None
    ) -> VerifiedImage:
        """Make an image of one Python script."""
        base = self.base()
        base = replace(base, python=interpreter or base.python)
        script_layer = self._layer([File.of("opt/laurel/serve", script.encode())])
        layers = (*base.layers, script_layer)
        return _verified(self._push(base, layers), version)

    def base(self) -> Base:
        base = HostBase(self._store).provide(
            "host",
            self.repository,
            platform=host_platform(),
            python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
            registry=self.registry,
        )
        assert isinstance(base, Base)
        return base

    def _layer(self, entries: Iterable[Entry]) -> Layer:
        return Layer.plain(self.registry.push_blob(self.repository, tar_content(entries)))

    def _push(self, base: Base, layers: tuple[Layer, ...]) -> ImageRef:
        config = ImageConfig(
            architecture="amd64",
            entrypoint=(base.python, "/opt/laurel/serve"),
            env={"HOME": "/tmp", **base.env},  # noqa: S108 - in the image: the one place it may write
            diff_ids=tuple(layer.diff_id for layer in layers),
        ).to_bytes()
        stored = self.registry.push_blob(self.repository, Content.of(config))
        manifest = Manifest(
            Descriptor(IMAGE_CONFIG, stored.digest, stored.size),
            tuple(layer.descriptor for layer in layers),
        ).to_bytes()
        digest = self.registry.push_manifest(self.repository, manifest, IMAGE_MANIFEST)
        return ImageRef(self.repository, digest)


def built(image: VerifiedImage) -> BuiltImage:
    """Go back to what smoke gets."""
    return BuiltImage(
        ref=image.ref,
        model=image.model,
        alias=None,
        run_id=None,
        model_id=None,
        source="models:/fraud/1",
        runtime="mlflow",
        slug="fraud",
        artifact_digest=NONE,
        lock_digest=NONE,
        base_digest=NONE,
        platform="linux/amd64",
        layers=(),
        version_key="laurel-0",
    )


def _verified(ref: ImageRef, version: int) -> VerifiedImage:
    return VerifiedImage(
        ref=ref,
        model=ModelVersion("fraud", version),
        runtime="mlflow",
        slug="fraud",
        key_id="0" * 64,
        artifact_digest=NONE,
        lock_digest=NONE,
        base_digest=NONE,
        statements=(),
    )
