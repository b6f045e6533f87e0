"""Send notices to whatever apprise knows: Slack, Teams, mail and some hundred others.

apprise runs in a process of its own, started for each notice: what hangs there is ended, what it
reads is not held here, its two seconds of imports slow nothing, and it sees none of our secrets.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from pipeline.domain.notice import Notice
from pipeline.errors import ConfigurationError, UnavailableError
from pipeline.notify.text import body_of

_CHILD = Path(__file__).with_name("apprise_child.py")
_SECONDS = 60.0
_KEPT = frozenset(
    {"LANG", "LC_ALL", "PATH", "TZ", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"}
    | {"SSL_CERT_DIR", "SSL_CERT_FILE", "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}
    | {"all_proxy", "http_proxy", "https_proxy", "no_proxy"}
)
_WHY = {
    "unknown": "apprise does not know such an address: see its list of services",
    "unsent": "it could not be reached, or did not take it: try the address with `apprise -vv`",
    "gone": f"nothing was heard of it within {_SECONDS:g} s, or it broke",
}
ATTEMPTED = "notify"


def require_apprise() -> None:
    """Raise ``ConfigurationError`` where apprise is not installed; nothing of it is loaded."""
    if find_spec("apprise") is None:
        raise ConfigurationError(
            "notifications: `to` needs apprise: pip install 'laurel[notify]', or use `webhook`"
        )


class AppriseSender:
    """One address that apprise knows; it is read at each call, because files may change."""

    def __init__(self, channel: str, address: Callable[[], str]) -> None:
        self._channel = channel
        self._address = address

    def send(self, notice: Notice) -> None:
        """Send a notice once; ``UnavailableError`` where it was not taken."""
        question = {
            "address": self._address(),
            "title": notice.title,
            "body": body_of(notice),
            "urgency": notice.urgency.value,
        }
        why = _ask(question)
        if why:
            said = _WHY.get(why, f"it answers {why}")
            raise UnavailableError(ATTEMPTED, self._channel, said)


def _ask(question: dict[str, str]) -> str:
    """Ask the process; empty where the notice was taken."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT}
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(_CHILD)],
            input=json.dumps(question).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept,
            timeout=_SECONDS,
            start_new_session=True,
            check=True,
        )
        answer: dict[str, str] = json.loads(done.stdout)
    except (subprocess.SubprocessError, OSError, ValueError):
        return "gone"
    return answer.get("why", "")
