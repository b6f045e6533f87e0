"""Asking one revision through the gateway, by the address that its tag has (kserve.md 1.2)."""

import time
from http import HTTPStatus
from urllib.parse import urlsplit

import urllib3

from pipeline.errors import ConfigurationError, UnavailableError
from pipeline.proxies import Pools

_CONNECT, _READ, _WHOLE = 5.0, 60.0, 90.0
_WAKE = 1.0
_ANSWER_BYTES = 65536
_CHUNK = 1 << 14
_OF_THE_GATEWAY = {HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE}
_FROM_UPSTREAM = "x-envoy-upstream-service-time"
"""Envoy, of Kourier, Istio and Contour, sets it on what a model answered, never on its own."""


class Gateway:
    """Where the addresses of revisions are reached.

    Parameters
    ----------
    url
        Where the gateway itself is; ``None``: where each address says, which needs DNS for it.

    """

    def __init__(self, url: str | None = None) -> None:
        if url is not None and urlsplit(url).scheme not in {"http", "https"}:
            raise ConfigurationError(
                "serving.gateway is no http or https URL: write http://host:port"
            )
        self._url = None if url is None else url.rstrip("/")
        self._pools = Pools(retries=False, maxsize=2)

    def ask(self, address: str, body: bytes) -> tuple[int, bytes]:
        """POST to a revision's ``/invocations``; status and at most 64 KiB of the answer.

        Raises
        ------
        UnavailableError
            Where nobody answers, or only the gateway, which does not have the address yet.

        """
        response = self._send("POST", address, "/invocations", body, _READ)
        try:
            answer = _read(response)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _away(address, f"the answer broke off ({type(error).__name__})") from error
        finally:
            response.close()
        if response.status in _OF_THE_GATEWAY and _FROM_UPSTREAM not in response.headers:
            raise _away(address, f"the gateway answers {response.status} for it")
        return response.status, answer

    def wake(self, address: str) -> None:
        """Have somebody ask a revision, so that it gets a pod; what it answers does not count."""
        self._send("GET", address, "/v2/health/ready", None, _WAKE).close()

    def close(self) -> None:
        """Close its connections."""
        self._pools.close()

    def _send(
        self, method: str, address: str, path: str, body: bytes | None, seconds: float
    ) -> urllib3.BaseHTTPResponse:
        host = urlsplit(address).netloc
        base = self._url or address.rstrip("/")
        headers = {"Host": host, "Content-Type": "application/json"}
        try:
            return self._pools.request(
                method,
                base + path,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(connect=_CONNECT, read=seconds),
                redirect=False,
                preload_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            why = f"nobody answers at {base} ({type(error).__name__})"
            raise _away(address, why) from error


def _read(response: urllib3.BaseHTTPResponse) -> bytes:
    end = time.monotonic() + _WHOLE
    answer = bytearray()
    while len(answer) < _ANSWER_BYTES and (piece := response.read1(_CHUNK)):
        answer += piece
        if time.monotonic() > end:
            raise TimeoutError(f"not complete after {_WHOLE:g} s")
    return bytes(answer[:_ANSWER_BYTES])


def _away(address: str, why: str) -> UnavailableError:
    return UnavailableError(
        "ask the revision", urlsplit(address).netloc[:200], f"{why}; look at serving.gateway"
    )
