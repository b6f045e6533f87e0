"""Model files by links that the MLflow server makes: straight from the store it has behind it.

The server answers ``…/mlflow-artifacts/presigned/<path>`` with a URL that is good for minutes. That
URL is a credential: it is in no message, and MLflow's credentials are never sent where it leads.
"""

import logging
import os
import threading
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

import urllib3

from pipeline.adapters.artifact_listing import ATTEMPTED, other_length
from pipeline.adapters.mlflow_rest import MlflowRest, Rejection, accepted
from pipeline.adapters.presigned_link import Link, LinkedFile
from pipeline.adapters.ranged import PART, in_order
from pipeline.domain.evidence import StoredFile
from pipeline.errors import CorruptedError, NotFoundError, PermanentError, StepError
from pipeline.proxies import Pools

_log = logging.getLogger(__name__)
_SERVER_INFO = "/api/3.0/mlflow/server-info"
_API = "/api/2.0/mlflow-artifacts/presigned"
_KNOWN_FOR = 300.0  # seconds; until then the server is not asked again what it can do
_TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)
_CONNECTIONS = 20  # two promotions at once, each with its parts


@dataclass(frozen=True, slots=True)
class Stored:
    """A listed file as MLflow's artifact API names it; ``path`` is quoted."""

    path: str
    workspace: str
    file: StoredFile


@dataclass(frozen=True, slots=True)
class _Offer:
    """Whether the server makes links, and whether there is no other way."""

    links: bool = False
    alone: bool = False


class PresignedArtifacts:
    """Streams files by link from one MLflow server, where it makes any (3.15 or later, on S3)."""

    def __init__(self, rest: MlflowRest) -> None:
        self._rest = rest
        self._pools = Pools(
            maxsize=_CONNECTIONS,
            retries=False,
            timeout=_TIMEOUT,
            ca_certs=os.environ.get("AWS_CA_BUNDLE") or None,
        )
        self._asking = threading.Lock()
        self._offer = _Offer()
        self._ask_again = 0.0

    def close(self) -> None:
        """Close every connection to where links led."""
        self._pools.close()

    def stream(self, stored: Stored) -> Generator[bytes, None, bool]:
        """Stream a file by link; ``False``, and nothing given, where the proxy has to do it.

        Small files are not worth the link. Where links lead nowhere, perhaps because they name the
        store as only the server can reach it, they are left alone for some minutes.
        """
        offer = self._offered()
        if not offer.links or (stored.file.size < PART and not offer.alone):
            return False
        file = LinkedFile(self._pools, lambda: self._link(stored), stored.file)
        with closing(in_order(file, stored.file)) as parts:
            try:
                start = next(parts, b"")
            except (CorruptedError, NotFoundError):
                raise
            except StepError as error:
                if offer.alone:
                    raise
                _log.warning("reading through MLflow instead: %s", error)
                self._remember(_Offer())
                return False
            yield start
            yield from parts
        return True

    def _offered(self) -> _Offer:
        with self._asking:
            if time.monotonic() >= self._ask_again:
                self._remember(self._asked())
            return self._offer

    def _remember(self, offer: _Offer) -> None:
        self._offer, self._ask_again = offer, time.monotonic() + _KNOWN_FOR

    def _asked(self) -> _Offer:
        try:
            told = self._rest.get(
                _SERVER_INFO, {}, "", attempted=ATTEMPTED, subject="what MLflow's server can do"
            )
        except PermanentError:  # an older server's page, or a gateway that lets this one not pass
            return _Offer()
        if isinstance(told, Rejection):
            return _Offer()
        return _Offer(
            told.get("multipart_downloads_enabled") is True,
            told.get("artifacts_presigned_only") is True,
        )

    def _link(self, stored: Stored) -> Link:
        subject = stored.file.path
        answer = self._rest.get(
            f"{_API}/{stored.path}", {}, stored.workspace, attempted=ATTEMPTED, subject=subject
        )
        told = accepted(answer, attempted=ATTEMPTED, subject=subject)
        if told.get("file_size") not in {None, stored.file.size}:
            raise other_length(stored.file)
        return Link.parse(told, subject)
