"""What clouds' libraries raise, told by class and number alone, becomes one of Laurel's errors."""

import errno
from typing import Any

import pytest

from pipeline.adapters.mlflow_client_errors import translated
from pipeline.errors import (
    ConfigurationError,
    CorruptedError,
    ForbiddenError,
    LaurelError,
    NotFoundError,
    PermanentError,
    UnavailableError,
)


@pytest.mark.parametrize(
    ("kinds", "numbers", "error", "says"),
    [
        (["NotFound", "ClientError"], {"status": 404}, NotFoundError, "NotFound 404"),
        (["ResourceNotFoundError"], {}, NotFoundError, "deleted"),
        (["FileNotFoundError", "OSError"], {"errno": 2}, NotFoundError, "deleted"),
        (["HTTPError", "OSError"], {"status": 404}, NotFoundError, "404"),
        (["error_perm", "Error"], {"reply": 550}, NotFoundError, "550"),
        (["error_perm", "Error"], {"reply": 530}, ForbiddenError, "credentials that MLflow has"),
        (["Forbidden"], {"status": 403}, ForbiddenError, "for gs:"),
        (["DefaultCredentialsError"], {}, ForbiddenError, "DefaultCredentialsError: give"),
        (["HttpResponseError"], {"status": 401}, ForbiddenError, "401"),
        (["PermissionError", "OSError"], {"errno": 13}, ForbiddenError, "PermissionError"),
        (["ServiceUnavailable"], {"status": 503}, UnavailableError, "503"),
        (["TooManyRequests"], {"status": 429}, UnavailableError, "429"),
        (["ConnectionError", "OSError"], {}, UnavailableError, "ConnectionError"),
        (["error_temp", "Error"], {"reply": 421}, UnavailableError, "error_temp"),
        (["OSError"], {"errno": errno.EFBIG}, CorruptedError, "longer"),
        (["OSError"], {"errno": errno.ENOSPC}, UnavailableError, "TMPDIR"),
        (["MlflowException"], {}, PermanentError, "mlflow artifacts list"),
        (["error_perm", "Error"], {"reply": 500}, UnavailableError, "500"),
        (["ImportError"], {"missing": "mlflow"}, ConfigurationError, r"'laurel\[mlflow\]'"),
        (["ImportError"], {"missing": "google.cloud"}, ConfigurationError, "google-cloud-storage"),
        (["UnknownScheme"], {}, PermanentError, "plug-in"),
    ],
)
def test_an_error_is_told_by_its_kind(
    kinds: list[str], numbers: dict[str, Any], error: type[LaurelError], says: str
) -> None:
    with pytest.raises(error, match=says):
        raise translated({"kinds": kinds, **numbers}, "gs", "MLmodel")


def test_a_module_of_an_unknown_schemes_plug_in_is_named() -> None:
    with pytest.raises(ConfigurationError, match="the package of the module oss2"):
        raise translated({"kinds": ["ModuleNotFoundError"], "missing": "oss2"}, "oss", "MLmodel")
