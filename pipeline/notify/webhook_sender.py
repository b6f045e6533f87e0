"""Send notices to an address as signed CloudEvents. What is answered is not read, only its status.

Errors name the channel and its host; the rest of the address is in none of them.
"""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path

import urllib3
from urllib3.exceptions import HTTPError, SSLError
from urllib3.util import parse_url

from pipeline.distribution.connections import trust
from pipeline.domain.notice import Notice
from pipeline.errors import PermanentError, RateLimitedError, TransientError, UnavailableError
from pipeline.notify.cloud_event import cloud_event, signed
from pipeline.ports import Clock
from pipeline.proxies import Pools

_TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)
_NOT_THIS = {400, 409, 413, 415, 422}
"""Statuses that are about what was sent, and not about who sends it where."""
_WHY = {
    401: "it refuses the signature: compare the secrets of both sides",
    403: "it refuses the signature: compare the secrets of both sides",
    404: "nobody is at this address there: compare it with the receiver's",
    410: "nobody is at this address there any more: remove the channel",
}
ATTEMPTED = "notify"


class WebhookSender:
    """One receiver of CloudEvents.

    Parameters
    ----------
    channel
        Its name in laurel.yaml.
    secrets
        Reads the secrets that are in use, at each call: files may change.
    source
        The Laurel that tells, as a URL.
    ca_file
        Certificates of a private authority, beside those that the system trusts.

    """

    def __init__(
        self,
        channel: str,
        url: str,
        secrets: Callable[[], Iterable[bytes]],
        *,
        source: str,
        clock: Clock,
        ca_file: Path | None = None,
    ) -> None:
        self._url = url
        self._subject = f"{channel} at {parse_url(url).host}"
        self._secrets = secrets
        self._source = source
        self._clock = clock
        context = trust(ca_file, f"notifications.{channel}.ca_file")
        self._pools = Pools(retries=False, timeout=_TIMEOUT, ssl_context=context)

    def send(self, notice: Notice) -> None:
        """Send a notice once; the same notice again has the same id.

        Raises
        ------
        TransientError
            Where nothing can be sent there now.
        PermanentError
            Where this notice is refused, and another might not be.

        """
        body = cloud_event(notice, self._source)
        headers = signed(notice, body, self._secrets(), self._clock.now())
        try:
            answer = self._pools.request(
                "POST", self._url, body=body, headers=headers, redirect=False, preload_content=False
            )
        except (HTTPError, OSError, ValueError) as error:
            raise UnavailableError(ATTEMPTED, self._subject, _away(error)) from None
        try:
            self._judge(answer.status, answer.headers.get("Retry-After", ""))
        finally:
            answer.close()  # unread: what else it says is of no use, and may be endless

    def _judge(self, status: int, retry_after: str) -> None:
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return
        if status in _NOT_THIS:
            why = f"it refuses this notice with {status}"
            raise PermanentError(ATTEMPTED, self._subject, why)
        why = f"it answers {status}"
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            why += ", and redirects are not followed: write the address that it leads to"
        elif status in _WHY:
            why += f", {_WHY[status]}"
        seconds = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
        kind: type[TransientError] = UnavailableError
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            kind = RateLimitedError
        raise kind(ATTEMPTED, self._subject, why, retry_after=seconds)


def _away(error: Exception) -> str:
    """Say why nothing came back, in our own words: theirs quote the address."""
    reason = getattr(error, "reason", error)
    if isinstance(error, SSLError) or isinstance(reason, SSLError):
        return "its certificate is not trusted: the channel's ca_file names a private authority"
    return f"it does not answer ({type(error).__name__})"
