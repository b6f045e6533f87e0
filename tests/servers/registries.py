"""Real OCI registries on loopback: what each of them can and cannot do is why there are six.

========== ========================= =========================================================
registry   program                   its ways
========== ========================= =========================================================
plain      distribution              anybody may do anything; no referrers API, no OCI-Subject
htpasswd   distribution              the same behind Basic credentials
token      distribution              the same behind Bearer tokens of our own token server
tls        distribution              the same behind a certificate of a private CA
ociserver  ociregistry's, in memory  complete: referrers, filters, OCI-Subject
odd        go-containerregistry's    referrers, and it never says OCI-Subject
========== ========================= =========================================================

Each chooses its own port, and says in its log which. distribution may delete, and its uploads
outlive it: one started later on the same folder goes on with them.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.servers.certificates import private_certificate
from tests.servers.go_tools import DISTRIBUTION, OCISERVER, ODD_REGISTRY, Program, built
from tests.servers.token_server import PASSWORD, WRITER, TokenServer, running_token_server

_HTPASSWD = "laurel:$2b$04$VdkWaaknHF/uyAx9OzeDZ.2aqEnTVvLITdME5EmoCnlxTmXUXrYV2\n"
"""The lowest cost that bcrypt has; made from ``PASSWORD``."""

_PATIENCE = 60.0
_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Registry:
    """A running registry, and what a client must know to use it.

    ``folder`` holds its log, and for distribution its storage in ``data``.
    """

    host: str
    url: str
    folder: Path
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    tokens: TokenServer | None = None


@contextmanager
def running_plain(folder: Path, *, deletes: bool = True) -> Iterator[Registry]:
    """Start a distribution that asks nobody who they are."""
    with _distribution(folder, deletes=deletes) as host:
        yield Registry(host, f"http://{host}", folder)


@contextmanager
def running_htpasswd(folder: Path) -> Iterator[Registry]:
    """Start a distribution with one user."""
    (folder / "htpasswd").write_text(_HTPASSWD)
    auth = {"htpasswd": {"realm": "laurel", "path": str(folder / "htpasswd")}}
    with _distribution(folder, auth=auth) as host:
        yield Registry(host, f"http://{host}", folder, WRITER, PASSWORD)


@contextmanager
def running_token(folder: Path) -> Iterator[Registry]:
    """Start a distribution that believes its token server; the credentials are the writer's."""
    with running_token_server() as tokens:
        (folder / "jwks.json").write_text(tokens.jwks)
        token = {
            "realm": tokens.realm,
            "service": tokens.service,
            "issuer": tokens.issuer,
            "jwks": str(folder / "jwks.json"),
            "signingalgorithms": ["ES256"],
        }
        with _distribution(folder, auth={"token": token}) as host:
            yield Registry(host, f"http://{host}", folder, WRITER, PASSWORD, tokens=tokens)


@contextmanager
def running_tls(folder: Path) -> Iterator[Registry]:
    """Start a distribution whose certificate only ``ca_file`` vouches for."""
    made = private_certificate(folder)
    tls = {"certificate": str(made.certificate), "key": str(made.key)}
    with _distribution(folder, tls=tls) as host:
        yield Registry(host, f"https://{host}", folder, ca_file=made.ca_file)


@contextmanager
def running_ociserver(folder: Path, *, immutable: bool = False) -> Iterator[Registry]:
    """Start the registry that has everything the specification names; or no tag of it moves."""
    more = ("immutable",) if immutable else ()
    with _running(OCISERVER, folder, "127.0.0.1:0", *more) as host:
        yield Registry(host, f"http://{host}", folder)


@contextmanager
def running_odd(folder: Path) -> Iterator[Registry]:
    """Start the registry that lists referrers and never says ``OCI-Subject``."""
    with _running(ODD_REGISTRY, folder, "127.0.0.1:0") as host:
        yield Registry(host, f"http://{host}", folder)


@contextmanager
def _distribution(
    folder: Path,
    *,
    auth: Mapping[str, object] | None = None,
    tls: dict[str, str] | None = None,
    deletes: bool = True,
) -> Iterator[str]:
    configuration = {
        "version": 0.1,
        "log": {"accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "data")},
            "delete": {"enabled": deletes},
        },
        "http": {
            "addr": "127.0.0.1:0",
            "secret": "signs the state of uploads",  # one that is the same after a new start
            **({"tls": tls} if tls else {}),
        },
        **({"auth": auth} if auth else {}),
    }
    (folder / "registry.yml").write_text(yaml.safe_dump(configuration))
    with _running(DISTRIBUTION, folder, "serve", str(folder / "registry.yml")) as host:
        yield host


@contextmanager
def _running(program: Program, folder: Path, *arguments: str) -> Iterator[str]:
    log = folder / "registry.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [built(program), *arguments],
            cwd=folder,
            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield f"127.0.0.1:{_port(process, log)}"
    finally:
        process.kill()  # it keeps nothing in memory that it would have to write
        process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """Wait for the port that it listens on; fail with its log when it ends instead."""
    deadline = time.monotonic() + _PATIENCE
    while not (found := _LISTENING.search(log.read_text(errors="replace"))):
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.02)
            pytest.fail(f"the registry ended: {log.read_text(errors='replace')[-2000:]}")
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
    return int(found[1])
