"""Other people's images, to stand on: manifest, index and configuration, OCI's or Docker's.

Their bytes are named by a digest that somebody wrote down; what they say is believed no further.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.domain.oci import IMAGE_MANIFEST, IN_OCI_WORDS, Descriptor
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError
from pipeline.image.canonical import canonical, read_object
from pipeline.image.manifest import Manifest, parse_descriptor, parse_manifest

_SAME_MACHINE = {("arm64", "v8"), ("amd64", "v1")}  # variants that need no saying
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Offered:
    """One image of an index, and the platform it is for: ``linux/amd64``."""

    manifest: Descriptor
    platform: str


@dataclass(frozen=True, slots=True)
class BaseConfig:
    """What a base's configuration says that concerns what stands on it."""

    platform: str
    env: dict[str, str]
    diff_ids: tuple[Digest, ...]


def parse_base(content: bytes) -> Manifest | tuple[Offered, ...]:
    """Read a manifest, or the images that an index offers; ``CorruptedError`` for anything else."""
    return _parsed(content, "a base's manifest", _manifest_or_index)


def parse_base_config(content: bytes) -> BaseConfig:
    """Read a base's configuration; ``CorruptedError`` where it is none."""
    return _parsed(content, "a base's configuration", _config)


def _parsed(content: bytes, what: str, parse: Callable[[dict[str, Any]], _Read]) -> _Read:
    said = read_object(content, what)
    try:
        return parse(said)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptedError(f"read {what}", "its JSON", str(error)) from error


def _manifest_or_index(said: dict[str, Any]) -> Manifest | tuple[Offered, ...]:
    if "manifests" not in said:
        layers = [_in_oci_words(layer) for layer in said["layers"]]
        config = _in_oci_words(said["config"])
        return parse_manifest(
            canonical({**_in_oci_words(said), "config": config, "layers": layers})
        )
    if "layers" in said:
        raise ValueError("it says to be an image and an index of images")
    offered = (_offered(_in_oci_words(listed)) for listed in said["manifests"])
    return tuple(each for each in offered if each.manifest.media_type == IMAGE_MANIFEST)


def _in_oci_words(said: dict[str, Any]) -> dict[str, Any]:
    word = said.get("mediaType", IMAGE_MANIFEST)
    return {**said, "mediaType": IN_OCI_WORDS.get(word, word)}


def _offered(said: dict[str, Any]) -> Offered:
    return Offered(parse_descriptor(said), _platform(said.get("platform") or {}))


def _config(said: dict[str, Any]) -> BaseConfig:
    pairs = [item.partition("=") for item in (said.get("config") or {}).get("Env") or ()]
    diff_ids = tuple(Digest(id_) for id_ in said["rootfs"]["diff_ids"])
    return BaseConfig(_platform(said), {name: value for name, _, value in pairs}, diff_ids)


def _platform(said: dict[str, Any]) -> str:
    parts = [said.get(name) or "" for name in ("os", "architecture", "variant")]
    if tuple(parts[1:]) in _SAME_MACHINE:
        parts.pop()
    return "/".join(parts).rstrip("/")
