"""Finds logins where docker, cosign and podman keep them."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.distribution.credential_helper import ask_helper
from pipeline.distribution.docker_config import DockerConfig, server_name
from pipeline.distribution.login import Login
from pipeline.errors import ConfigurationError

_IN_ENVIRONMENT = "DOCKER_AUTH_CONFIG"
_LARGEST = 4 << 20
_Mark = tuple[str, tuple[tuple[str, tuple[int, int, int] | None], ...]]


class Credentials:
    """Logins for registries: each is looked up when it is needed, and again when a file changed.

    Looked at, until one of them has a login: ``DOCKER_AUTH_CONFIG``, docker's ``config.json`` (in
    ``$DOCKER_CONFIG``, else ``~/.docker``), ``$REGISTRY_AUTH_FILE``, and podman's ``auth.json``
    (in ``$XDG_RUNTIME_DIR/containers``, then ``$XDG_CONFIG_HOME`` or ``~/.config``). Within a file
    a helper for the registry is asked first, and what is written down counts where it has nothing.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._known: dict[tuple[str, str], tuple[_Mark, Login]] = {}

    def login(self, host: str, path: str = "", *, fresh: bool = False) -> Login:
        """Find the login for a repository, ``path`` on ``host``; an anonymous one where none is.

        What a helper said is remembered until a file changes, or ``fresh`` asks anew.

        Raises
        ------
        ConfigurationError
            Where a file or helper cannot be used.
        UnavailableError
            Where a helper does not answer.

        """
        mark = self._mark()
        known = self._known.get((host, path))
        if known is not None and known[0] == mark and not fresh:
            return known[1]
        login = self._found(host, path)
        self._known[host, path] = mark, login
        return login

    def _found(self, host: str, path: str) -> Login:
        names = []
        for config in self._configs():
            names.append(config.name)
            if (helper := config.helper(host)) and (login := self._asked(helper, host)):
                return login
            if login := next(config.logins(host, path), None):
                return login
        missing = [self._shown(path) for path in self._paths()[:1]]
        return Login(f"there are none in {' or '.join(names or missing) or 'any file'}")

    def _asked(self, helper: tuple[str, str], host: str) -> Login | None:
        name, source = helper
        environment = self._environment
        return ask_helper(name, server_name(host), source=source, environment=environment)

    def _configs(self) -> Iterator[DockerConfig]:
        if given := self._environment.get(_IN_ENVIRONMENT):
            yield DockerConfig.parse(_IN_ENVIRONMENT, given.encode(errors="surrogateescape"))
        for path in self._paths():
            content = _read(path, self._shown(path))
            if content is not None:
                yield DockerConfig.parse(self._shown(path), content)

    def _paths(self) -> list[Path]:
        given = self._environment.get
        home = given("HOME")
        docker = given("DOCKER_CONFIG") or (home and f"{home}/.docker")
        runtime = given("XDG_RUNTIME_DIR")
        configuration = given("XDG_CONFIG_HOME") or (home and f"{home}/.config")
        candidates = (
            docker and f"{docker}/config.json",
            given("REGISTRY_AUTH_FILE"),
            runtime and f"{runtime}/containers/auth.json",
            configuration and f"{configuration}/containers/auth.json",
        )
        return [Path(candidate) for candidate in candidates if candidate]

    def _shown(self, path: Path) -> str:
        home = self._environment.get("HOME")
        if home and path.is_relative_to(home):
            return f"~/{path.relative_to(home)}"
        return str(path)

    def _mark(self) -> _Mark:
        files = tuple((str(path), _state(path)) for path in self._paths())
        return self._environment.get(_IN_ENVIRONMENT, ""), files


def _read(path: Path, name: str) -> bytes | None:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise ConfigurationError(f"{name} is larger than {_LARGEST >> 20} MiB: is it docker's?")
    return content


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
