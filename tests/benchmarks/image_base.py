"""The base that everybody stands on: an image by digest, as a team keeps one in its registry."""

import sys
from pathlib import Path

from pipeline.domain.content import Content, File
from pipeline.domain.oci import IMAGE_CONFIG, IMAGE_MANIFEST, Descriptor, Layer
from pipeline.domain.references import ImageRef
from pipeline.image.config import ImageConfig, host_platform
from pipeline.image.manifest import Manifest
from pipeline.image.tar import tar_content
from pipeline.ports import ImageRegistry
from tests.benchmarks.image_evidence import PYTHON


def push_base(registry: ImageRegistry, repository: str) -> str:
    """Push an image that has this interpreter and nothing else; return the reference.

    Nobody runs it, and its layer is there for everybody: how large it is changes no figure.
    """
    python = f"/usr/local/bin/python{PYTHON}"
    interpreter = Path(sys.executable).resolve().read_bytes()
    file = File.of(python.lstrip("/"), interpreter, executable=True)
    layer = Layer.plain(registry.push_blob(repository, tar_content([file])))
    config = ImageConfig(
        architecture=host_platform().partition("/")[2],
        entrypoint=(python,),
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        diff_ids=(layer.diff_id,),
    )
    blob = registry.push_blob(repository, Content.of(config.to_bytes()))
    manifest = Manifest(Descriptor(IMAGE_CONFIG, blob.digest, blob.size), (layer.descriptor,), {})
    digest = registry.push_manifest(repository, manifest.to_bytes(), IMAGE_MANIFEST)
    return str(ImageRef(repository, digest))
