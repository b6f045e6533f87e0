"""What MLflow's client and the clouds' libraries raise, by class and number, as Laurel's errors."""

import errno
from http import HTTPStatus
from typing import Any

from pipeline.adapters.artifact_listing import ATTEMPTED
from pipeline.errors import (
    ConfigurationError,
    CorruptedError,
    ForbiddenError,
    LaurelError,
    NotFoundError,
    PermanentError,
    UnavailableError,
)

_PACKAGES = {
    "abfss": "azure-storage-file-datalake azure-identity",
    "b2": "boto3",
    "dbfs": "databricks-sdk",
    "gs": "google-cloud-storage",
    "hdfs": "pyarrow",
    "r2": "boto3",
    "sftp": "pysftp",
    "viewfs": "pyarrow",
    "wasbs": "azure-storage-blob azure-identity",
}
_GONE = frozenset({"FileNotFoundError", "NotFound", "ResourceNotFoundError"})
_FORBIDDEN = frozenset(
    {"AuthenticationException", "ClientAuthenticationError", "DefaultCredentialsError"}
    | {"Forbidden", "NoCredentialsError", "PermissionError", "RefreshError", "Unauthorized"}
)
_AWAY = frozenset(
    {"EOFError", "OSError", "SSHException", "ServiceRequestError", "TransportError", "error_temp"}
)
_NOT_LOGGED_IN, _NO_FILE = 530, 550  # how an FTP server says it
_REFUSING = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_WAITING = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, *range(500, 530), *range(551, 600)}
)


def translated(failed: dict[str, Any], scheme: str, subject: str) -> LaurelError:
    """Make the error for what the process told; library texts are not repeated."""
    kinds, named = frozenset(failed["kinds"]), f"{scheme}: {subject}"
    if "UnknownScheme" in kinds:
        return PermanentError(
            ATTEMPTED,
            f"an artifact URI of scheme {scheme}",
            "neither Laurel nor MLflow's client here reads it: install MLflow's plug-in for it",
        )
    if failed.get("missing"):
        return ConfigurationError(_missing(failed["missing"], scheme))
    if failed.get("errno") == errno.EFBIG:
        return CorruptedError(ATTEMPTED, subject, "it is longer than it was listed")
    if failed.get("errno") == errno.ENOSPC:
        return UnavailableError(
            ATTEMPTED, named, "the temporary folder is full: make room, or set TMPDIR"
        )
    return _of_the_store(kinds, failed, scheme, named)


def _of_the_store(
    kinds: frozenset[str], failed: dict[str, Any], scheme: str, named: str
) -> LaurelError:
    number = failed.get("reply") if "error_perm" in kinds else failed.get("status")
    said = f"MLflow's client says {failed['kinds'][0][:60]} {number or ''}".rstrip()
    if kinds & _GONE or number in {HTTPStatus.NOT_FOUND, _NO_FILE}:
        return NotFoundError(ATTEMPTED, named, f"{said}: was it deleted?")
    if kinds & _FORBIDDEN or number in {*_REFUSING, _NOT_LOGGED_IN}:
        return ForbiddenError(
            ATTEMPTED,
            named,
            f"{said}: give Laurel's process the credentials that MLflow has for {scheme}: "
            "(its environment, or the client's own files in its home folder)",
        )
    if number in _WAITING or kinds & _AWAY:
        return UnavailableError(ATTEMPTED, named, said)
    return PermanentError(
        ATTEMPTED, named, f"{said}: as Laurel's user, try `mlflow artifacts list` on that URI"
    )


def _missing(module: str, scheme: str) -> str:
    if module.partition(".")[0] == "mlflow":
        wanted = "'laurel[mlflow]'"
    else:
        wanted = _PACKAGES.get(scheme, f"the package of the module {module[:60]}")
    return (
        f"models in {scheme}: are read by MLflow's own client, and {module[:60]} is not here: "
        f"pip install {wanted}"
    )
