"""Asks a credential helper, ``docker-credential-NAME get`` (docker's credential helper protocol).

What it says is never repeated: its errors may hold what they are about.
"""

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.distribution.login import Login
from pipeline.errors import ConfigurationError, UnavailableError

_PATIENCE = 30.0
_LARGEST = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_NOT_FOUND = b"credentials not found"
_TOKEN_USER = "<token>"  # noqa: S105 - the name that says "the secret is an identity token"


def ask_helper(
    name: str,
    server: str,
    *,
    source: str,
    environment: Mapping[str, str],
    patience: float = _PATIENCE,
) -> Login | None:
    """Get what a helper keeps for ``server``; ``None`` where it keeps nothing.

    Raises
    ------
    ConfigurationError
        No program of that name, or one that is no credential helper.
    UnavailableError
        It fails, or says nothing for ``patience`` seconds: it may ask somebody else.

    """
    program = _program(name, source, environment)
    ended = _run([program, "get"], server, source, environment, patience)
    if ended is None:
        raise _away(program, server, f"no answer within {patience:g} s, or one without end")
    status, said = ended
    if status != 0:
        if _NOT_FOUND in said.lower():
            return None
        raise _away(program, server, f"it ended with {status}")
    username, secret = _parsed(said, program, source)
    if username == _TOKEN_USER:
        return Login(source, identity_token=secret) if secret else None
    return Login(source, username, secret) if username else None


def _program(name: str, source: str, environment: Mapping[str, str]) -> str:
    if not _NAME.match(name):
        raise ConfigurationError(f"{source}: {name[:80]!r} is no name of a credential helper")
    program = f"docker-credential-{name}"
    found = shutil.which(program, path=environment.get("PATH", os.defpath))
    if found is None or not Path(found).is_absolute():  # the folder we stand in is nobody's PATH
        raise ConfigurationError(f"{source}: {program} is not in PATH; install it, or remove it")
    return found


def _run(
    command: Sequence[str],
    server: str,
    source: str,
    environment: Mapping[str, str],
    patience: float,
) -> tuple[int, bytes] | None:
    """Run it to its end; ``None`` where it took too long or said too much."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
            start_new_session=True,  # so that what it started can be ended with it
        )
    except OSError as error:
        raise ConfigurationError(
            f"{source}: {command[0]} does not run ({error.strerror})"
        ) from error
    with process:
        status = None
        try:
            deadline = time.monotonic() + patience
            said = _asked(process, server, deadline)
            if said is not None:
                status = process.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            said = None
        finally:
            if status is None:  # else what it left running is meant to, gpg-agent for one
                os.killpg(process.pid, signal.SIGKILL)
    return None if status is None or said is None else (status, said)


def _asked(process: subprocess.Popen[bytes], server: str, deadline: float) -> bytes | None:
    """Ask, and read what it prints."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101 - as above
    with suppress(BrokenPipeError), process.stdin:  # one that does not read may know anyway
        process.stdin.write(server.encode())
    said = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(max(deadline - time.monotonic(), 0.0)):
            chunk = os.read(process.stdout.fileno(), _LARGEST)
            if not chunk:
                return bytes(said)
            said += chunk
            if len(said) > _LARGEST:
                break
    return None


def _parsed(said: bytes, program: str, source: str) -> tuple[str, str]:
    try:
        answer: Any = json.loads(said)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, LookupError, TypeError, RecursionError):
        username = secret = None
    if not (isinstance(username, str) and isinstance(secret, str)):
        raise ConfigurationError(f"{source}: {Path(program).name} answers with something else")
    return username, secret


def _away(program: str, server: str, what: str) -> UnavailableError:
    return UnavailableError(
        f"get credentials for {server}",
        Path(program).name,
        f"{what}; try: echo {server} | {Path(program).name} get",
    )
