"""Logs on stderr: JSON lines for programs, short lines for a person at a terminal.

What a line is about (``promotion``, ``service``, ``why``, …) is given by ``extra=`` and becomes a
key of its own; every line of one promotion is found by its id.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import click

_NOT_ABOUT = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_COLOURS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
_QUIET = ("uvicorn", "alembic", "sqlalchemy", "urllib3", "dbos")
"""Libraries whose everyday news is nobody's; their warnings are."""


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, what it is about, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_about(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class PersonsLines(logging.Formatter):
    """Time, service, what happened; a fault's traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        at = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        about = _about(record)
        said = printable(record.getMessage() + (f": {about['why']}" if "why" in about else ""))
        if record.levelname in _COLOURS:
            said = click.style(said, fg=_COLOURS[record.levelname])
        line = f"{at}  {about.get('service', 'laurel')!s:<16}  {said}"
        if record.exc_info:
            trace = self.formatException(record.exc_info).splitlines()
            return "\n".join([line, *(f"  {printable(each)}" for each in trace)])
        return line


def to_stderr(*, as_json: bool) -> None:
    """Send this process's logs to stderr, and nowhere else."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else PersonsLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for library in _QUIET:
        logging.getLogger(library).setLevel(logging.WARNING)
    # dbos makes itself a handler of its own, in its own form, unless it has one.
    logging.getLogger("dbos").handlers = [logging.NullHandler()]
    logging.getLogger("dbos").propagate = True
    logging.captureWarnings(capture=True)


def printable(text: str) -> str:
    """Take out what a terminal would obey, line breaks included: models print what they like."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _about(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _NOT_ABOUT}
