"""The one boto3 client: made at its first use, configured as boto3's and MLflow's users expect."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.adapters.s3_errors import translated
from pipeline.errors import ConfigurationError

_CONNECTIONS = 20  # two promotions at once, each with its parts
_FROM = {
    "env": "the AWS_* variables",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the shared config file",
    "iam-role": "the machine's role",
    "container-role": "the container's role",
    "assume-role-with-web-identity": "the service account's web identity",
}
_LOOKED = (
    "none were found; they are looked for as boto3 does: AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, AWS_PROFILE and the shared files, then the machine's role"
)


class S3Client:
    """Lends the client; what is raised while it is lent becomes an error of Laurel's."""

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._session: Any = None
        self._client: Any = None

    @contextmanager
    def asked_for(self, subject: str) -> Iterator[Any]:
        """Lend the client for something that is read."""
        with self._making:
            if self._session is None:
                self._session = _session()
        with translated(subject, self._origin):
            with self._making:
                if self._client is None:
                    self._client = _client(self._session)
            yield self._client

    def _origin(self) -> str:
        """Say where the credentials came from, never what they are."""
        found = self._session.get_credentials()
        if found is None:
            return _LOOKED
        return f"its credentials come from {_FROM.get(found.method, found.method)}"


def owner() -> dict[str, str]:
    """Name the account that must own the bucket, where MLflow's variable does."""
    account = os.environ.get("MLFLOW_S3_EXPECTED_BUCKET_OWNER")
    return {"ExpectedBucketOwner": account} if account else {}


def _session() -> Any:  # noqa: ANN401 - boto3 brings no types
    try:
        from boto3.session import Session  # noqa: PLC0415 - optional, and 0.3 s
    except ImportError as error:
        raise ConfigurationError(
            "models in s3:// are read by boto3, which is not here: pip install 'laurel[s3]'"
        ) from error
    with translated("the AWS profile", lambda: _LOOKED):
        return Session()


def _client(session: Any) -> Any:  # noqa: ANN401 - boto3 brings no types
    from botocore.config import Config  # noqa: PLC0415 - as above

    style = os.environ.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE")
    config = Config(
        max_pool_connections=_CONNECTIONS, s3={"addressing_style": style} if style else None
    )
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None
    try:
        return session.client("s3", config=config, endpoint_url=endpoint)
    except ValueError as error:  # some of botocore's own errors are, too; the text may hold the URL
        raise ConfigurationError(
            "S3's address cannot be used: write http(s)://host[:port] into AWS_ENDPOINT_URL_S3 "
            "(or MLFLOW_S3_ENDPOINT_URL), and a region such as eu-central-1"
        ) from error
