"""Sends one notice with apprise, for one parent, over its standard streams.

Run as a file by :mod:`pipeline.notify.apprise_sender`, of whose package nothing is imported here:
one question as JSON on standard input, its answer on standard output. Nothing of what apprise
writes comes out but a status: it may quote the address, and the address is a secret.
"""

import json
import logging
import os
import re
import sys
from typing import Any

_STATUS = re.compile(r"\berror=([1-5][0-9]{2})\b")


class _Statuses(logging.Handler):
    """Hears what apprise says, and keeps the HTTP statuses."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen += _STATUS.findall(record.getMessage())


def main() -> None:
    """Answer one question."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    with answers:
        answers.write(json.dumps(_send(json.load(sys.stdin))))


def _send(question: dict[str, Any]) -> dict[str, str]:
    import apprise  # noqa: PLC0415 - it may not be there, which is an answer

    heard = _Statuses()
    log = logging.getLogger("apprise")
    log.addHandler(heard)
    log.propagate = False
    about = apprise.AppriseAsset(
        app_id="Laurel",
        app_desc="Laurel",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        http_redirects=False,
    )
    room = apprise.Apprise(asset=about)
    if not room.add(question["address"]):
        return {"why": "unknown"}
    for service in room:
        service.redirects = False  # whatever the address says
        service.verify_certificate = True
    sent = room.notify(
        title=question["title"],
        body=question["body"],
        notify_type=apprise.NotifyType(question["urgency"]),
        body_format=apprise.NotifyFormat.TEXT,
    )
    return {} if sent else {"why": heard.seen[-1] if heard.seen else "unsent"}


if __name__ == "__main__":
    main()
