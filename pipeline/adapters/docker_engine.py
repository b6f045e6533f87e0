"""A Docker Engine, found as docker's own clients find it (``DOCKER_HOST``); its SDK's one door."""

import logging
import os
import re
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

import urllib3

from pipeline.adapters.docker_context import BUILD_LABEL
from pipeline.adapters.docker_errors import fault, unreachable
from pipeline.domain.references import Digest
from pipeline.errors import ConfigurationError, PermanentError
from pipeline.image.canonical import canonical
from pipeline.image.config import ImageConfig, parse_config
from pipeline.image.tar import CHUNK

_PATIENCE = 1200  # seconds without a word: installing packages may take that long
_SHOWN = 40  # last lines of a build's output
_LONGEST_LINE = 500
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ENGINES_DOINGS = (" ---> ", "Removing intermediate container ")
_ENGINES_OWN = "unix:///var/run/docker.sock"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FailedBuild:
    """A build that an instruction ended: what the engine says, and the last lines before.

    ``code`` is the exit code of the command that a ``RUN`` ran, ``None`` where none did.
    """

    message: str
    output: tuple[str, ...]
    code: int | None


class Engine:
    """An engine that answers, through docker's low-level client, which streams what is large.

    ``host`` is its address as ``DOCKER_HOST`` has it, ``platform`` what it builds for:
    ``linux/amd64``.
    """

    def __init__(self, client: Any, host: str) -> None:  # noqa: ANN401 - docker brings no types
        self._client = client
        self.host = host
        version = client.version()
        self.platform = f"{version['Os']}/{version['Arch']}"

    def pull(self, repository: str, digest: Digest, platform: str) -> None:
        """Have an image by digest, pulled with docker's credentials where it is not there."""
        if self._has(f"{repository}@{digest}"):
            return
        for said in self._client.pull(
            repository, tag=digest.value, platform=platform, stream=True, decode=True
        ):
            if "error" in said:
                raise fault(f"pull {repository}@{digest}", self.host, said["error"])

    def load(self, archive: Iterator[bytes]) -> None:
        """Take an image in, as ``docker load`` does."""
        for said in self._client.load_image(archive, quiet=True):
            if "error" in said:
                raise fault("load a base", self.host, said["error"])

    def build(
        self, context: IO[bytes], arguments: dict[str, str], labels: dict[str, str], platform: str
    ) -> str | FailedBuild:
        """Build ``Dockerfile`` of the context, without network or cache; the image's id.

        The engine is told of no login and no proxy: a build without a network has no use for them.
        """
        output: deque[str] = deque(maxlen=_SHOWN)
        image = ""
        for said in self._client.build(
            fileobj=context,
            custom_context=True,
            dockerfile="Dockerfile",
            buildargs=arguments,
            labels=labels,
            platform=platform,
            network_mode="none",
            nocache=True,
            rm=True,
            forcerm=True,
            decode=True,
            use_config_proxy=False,
        ):
            if "error" in said:
                code = (said.get("errorDetail") or {}).get("code")
                return FailedBuild(said["error"], tuple(output), code)
            output.extend(_lines(said.get("stream", "")))
            image = (said.get("aux") or {}).get("ID", image)  # of each stage; the last one stays
        return image

    def config(self, image: str) -> ImageConfig:
        """Read how an image runs and what it consists of."""
        said = self._client.inspect_image(image)
        return parse_config(
            canonical(
                {
                    "architecture": said["Architecture"],
                    "config": said["Config"],
                    "rootfs": {"diff_ids": said["RootFS"]["Layers"]},
                }
            )
        )

    def save(self, image: str) -> Iterator[bytes]:
        """Stream an image out, as ``docker save`` does."""
        with _translated(self.host):  # here too: a fault of requests' looks like one of the disk's
            yield from self._client.get_image(image, chunk_size=CHUNK)

    def remove_build(self, build: str) -> None:
        """Remove every image that carries this :data:`BUILD_LABEL`."""
        label = {"label": f"{BUILD_LABEL}={build}"}
        left: list[str] = self._client.images(all=True, quiet=True, filters=label)
        while left:
            for image in left:  # its parents without a name go with it
                self._remove(image)
            before, left = left, self._client.images(all=True, quiet=True, filters=label)
            if len(left) == len(before):
                _log.warning("the Docker Engine at %s keeps images of build %s", self.host, build)
                return

    def _remove(self, image: str) -> None:
        import docker  # noqa: PLC0415 - optional

        with suppress(docker.errors.APIError):  # gone with a child; or one still stands on it
            self._client.remove_image(image, force=True)

    def _has(self, image: str) -> bool:
        import docker  # noqa: PLC0415 - optional

        try:
            self._client.inspect_image(image)
        except docker.errors.ImageNotFound:
            return False
        return True


class DockerEngines:
    """Connects to the engine that the environment names.

    Raises
    ------
    ConfigurationError
        Where docker's SDK or pip is not installed.

    """

    def __init__(self) -> None:
        try:
            import docker  # noqa: F401, PLC0415 - optional
            import pip  # noqa: F401, PLC0415 - as above
        except ImportError as error:
            raise ConfigurationError(
                f"builder: docker needs the package {error.name}: pip install 'laurel[docker]'"
            ) from error

    @contextmanager
    def connected(self) -> Iterator[Engine]:
        """Lend an engine that answers; ``UnavailableError`` where none does."""
        host = os.environ.get("DOCKER_HOST") or _ENGINES_OWN
        with closing(_client(host)) as client, _translated(host):
            yield Engine(client, host)


@contextmanager
def _translated(host: str) -> Iterator[None]:
    """Turn what docker's SDK raises into errors of Laurel's."""
    import docker  # noqa: PLC0415 - optional, and it takes a tenth of a second
    import requests  # noqa: PLC0415 - as above

    broken = (requests.RequestException, urllib3.exceptions.HTTPError)
    try:
        yield
    except docker.errors.APIError as error:  # which is a RequestException too
        told = str(error.explanation or error)
        raise fault("build with Docker", host, told, error.status_code) from error
    except broken as error:
        raise unreachable(host, error) from error
    except docker.errors.DockerException as error:  # a credential helper that fails, say
        raise PermanentError("build with Docker", host, f"{error}: mend that, retry") from error


def _lines(stream: str) -> Iterator[str]:
    """Give what a command printed; the engine colours its errors, and tells of its own doings."""
    for line in _COLOUR.sub("", stream).splitlines():
        if line.strip() and not line.startswith(_ENGINES_DOINGS):
            yield line[:_LONGEST_LINE]


def _client(host: str) -> Any:  # noqa: ANN401 - docker brings no types
    import docker  # noqa: PLC0415 - optional
    import requests  # noqa: PLC0415 - as above

    class Discreet(docker.APIClient):  # type: ignore[misc]  # docker brings no types
        def _set_auth_headers(self, headers: dict[str, str]) -> None:
            """Send with a build none of the logins of this machine; docker's would send all."""

    try:
        return Discreet(**docker.utils.kwargs_from_env(), version="auto", timeout=_PATIENCE)
    except docker.errors.DockerException as error:
        if isinstance(error.__cause__, requests.RequestException):
            raise unreachable(host, error.__cause__) from error
        raise ConfigurationError(f"DOCKER_HOST={host} cannot be used: {error}") from error
