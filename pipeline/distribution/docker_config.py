"""``config.json`` as docker writes it and ``auth.json`` as podman does: who is known where.

Of docker's keys some are URLs with a path that means nothing; podman's may name a part of a
registry, ``registry.example.com/team``, and the longest that fits is taken.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pipeline.distribution.login import Login
from pipeline.distribution.request import DOCKER_HUB, HUB_NAMES
from pipeline.errors import ConfigurationError

_HUB_KEY = "https://index.docker.io/v1/"
_API_PATHS = frozenset({"v1", "v2"})
_FIELDS = ("username", "password", "auth", "identitytoken", "registrytoken")


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """One file's content; ``name`` is how errors call it."""

    name: str
    content: Mapping[str, Any] = field(repr=False)

    @classmethod
    def parse(cls, name: str, content: bytes) -> Self:
        """Read a file; an empty one says nothing."""
        try:
            parsed: Any = json.loads(content) if content.strip() else {}
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            raise ConfigurationError(f"{name} is not JSON as docker writes it: mend or remove it")
        return cls(name, parsed)

    def helper(self, host: str) -> tuple[str, str] | None:
        """Name the credential helper for a registry, and where that stands; ``None`` for none.

        One that is ``""`` says that this registry has none, whatever ``credsStore`` names.
        """
        helpers = self._section("credHelpers")
        for key in sorted(helpers, key=lambda key: key != server_name(host)):
            if _parted(key) == (host, ""):
                return self._named(helpers[key], "credHelpers")
        return self._named(self.content.get("credsStore"), "credsStore")

    def logins(self, host: str, path: str) -> Iterator[Login]:
        """Find what is written down for a repository, the most particular first."""
        auths, fitting = self._section("auths"), []
        for key in auths:
            at, part = _parted(key)
            if at == host and (not part or f"{path}/".startswith(f"{part}/")):
                fitting.append((-len(part), key != server_name(host), key))
        for _, _, key in sorted(fitting):
            login = self._login(key, auths[key])
            if not login.is_anonymous:
                yield login

    def _section(self, name: str) -> Mapping[str, Any]:
        section = self.content.get(name) or {}
        if not isinstance(section, dict):
            raise ConfigurationError(f"{self.name}: {name} is not an object: mend it")
        return section

    def _named(self, helper: object, where: str) -> tuple[str, str] | None:
        if not isinstance(helper, str | None):
            raise ConfigurationError(f"{self.name}: {where} is not a helper's name: mend it")
        return (helper, f"{where} {helper[:80]} of {self.name}") if helper else None

    def _login(self, key: str, entry: object) -> Login:
        source = f"auths of {self.name}"
        said = entry if isinstance(entry, dict) else {"auth": entry}
        fields = [said.get(name) or "" for name in _FIELDS]
        username, password, auth, identity_token, registry_token = map(str, fields)
        if not all(isinstance(value, str) for value in fields):
            raise ConfigurationError(f"{source}: {key[:200]!r} has a value that is no text")
        if auth:
            username, password = self._pair(key, auth)
        return Login(source, username, password, identity_token, registry_token)

    def _pair(self, key: str, auth: str) -> tuple[str, str]:
        try:
            pair = base64.b64decode(auth, validate=True).decode()
        except (binascii.Error, ValueError):
            pair = ""
        username, colon, password = pair.partition(":")
        if not (username and colon):
            raise ConfigurationError(
                f"{self.name}: auth of {key[:200]!r} is not name:password in base64; log in again"
            )
        return username, password.strip("\0")  # docker does: old versions padded it


def server_name(host: str) -> str:
    """Name a registry as docker does in its files and when it asks a helper."""
    return _HUB_KEY if host == DOCKER_HUB else host


def _parted(key: str) -> tuple[str, str]:
    """Read which registry a key is about, and which part of it, ``""`` for all."""
    _, has_scheme, rest = key.rpartition("://")
    host, _, path = rest.partition("/")
    path = path.strip("/")
    if has_scheme or path in _API_PATHS:
        path = ""
    host = host.lower()
    return DOCKER_HUB if host in HUB_NAMES else host, path
