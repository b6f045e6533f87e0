"""Who a job of GitHub Actions is: a token that GitHub gives it, a fresh one for every change.

Such a token is good for one change, and for some minutes. So each change gets its own, and who
reads for longer, waiting for a promotion, gets another before the last one ends. Nothing is stored.
"""

import base64
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3

from pipeline.domain.oidc import address_fault
from pipeline.errors import ConfigurationError, UnavailableError

_URL, _REQUEST = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_AUDIENCE = "LAUREL_AUDIENCE"
_TIMEOUT = urllib3.Timeout(connect=5, read=15)
_TRIES = 3
_LARGEST = 1 << 16
_BEFORE_THE_END = 60.0  # seconds: a token that ends on its way is none
_ATTEMPTED, _GITHUB = "ask for the job's token", "GitHub Actions"


class JobToken:
    """Asks GitHub for tokens; implements :class:`pipeline.cli.client.Tokens`.

    Parameters
    ----------
    url
        Where they are asked for, as GitHub set it.
    request
        What GitHub gave the job to ask with.
    audience
        Whom they are for: this Laurel alone.

    """

    def __init__(self, url: str, request: str, audience: str) -> None:
        self._url = f"{url}{'&' if '?' in url else '?'}audience={quote(audience, safe='')}"
        self._headers = {"Authorization": f"Bearer {request}", "Accept": "application/json"}
        self._http = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)
        self._token, self._until = "", 0.0

    def to_change(self) -> str:
        """Ask for a fresh one.

        Raises
        ------
        ConfigurationError
            Where GitHub gives the job none.
        UnavailableError
            Where it does not answer.

        """
        self._token = self._asked()
        self._until = _end_of(self._token)
        return self._token

    def to_read(self) -> str:
        """Lend one that is good for a while yet; raises as :meth:`to_change` does."""
        if time.time() > self._until - _BEFORE_THE_END:
            self.to_change()
        return self._token

    def _asked(self) -> str:
        for _ in range(_TRIES - 1):
            with suppress(UnavailableError):
                return self._answer()
        return self._answer()

    def _answer(self) -> str:
        try:
            answer = self._http.request(
                "GET", self._url, headers=self._headers, redirect=False, preload_content=False
            )
            body = answer.read(_LARGEST)
            answer.release_conn()
        except urllib3.exceptions.HTTPError as error:
            why = f"it does not answer: {type(error).__name__}"
            raise UnavailableError(_ATTEMPTED, _GITHUB, why) from error
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:  # theirs to mend
            raise UnavailableError(_ATTEMPTED, _GITHUB, f"it answers {answer.status}")
        with suppress(ValueError, KeyError, TypeError):
            token = json.loads(body)["value"]
            if answer.status == HTTPStatus.OK and isinstance(token, str):
                return token
        raise ConfigurationError(
            f"GitHub gives this job no token ({answer.status}): it needs"
            " `permissions: {id-token: write}`"
        )


def job_token(environment: Mapping[str, str], server: str) -> JobToken | None:
    """Find out whether this is a job of GitHub Actions that may ask who it is.

    Raises
    ------
    ConfigurationError
        Where its token would travel in the clear.

    """
    url, request = environment.get(_URL, ""), environment.get(_REQUEST, "")
    if not url or not request:
        return None
    for address in (url, server):
        parts = urlsplit(address)
        if address_fault(f"{parts.scheme}://{parts.netloc}") is not None:
            raise ConfigurationError(
                f"{address[:200]!r}: a job's token is sent over https alone, or on this machine"
            )
    audience = environment.get(_AUDIENCE) or urlsplit(server).hostname or ""
    return JobToken(url, request, audience)


def _end_of(token: str) -> float:
    """Read when a token ends; the server is who checks it."""
    with suppress(ValueError, KeyError, TypeError, IndexError):
        payload = token.split(".")[1]
        said: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * 3))
        return float(said["exp"])
    return 0.0
