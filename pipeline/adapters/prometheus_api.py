"""Prometheus' query API, which Thanos, Mimir, VictoriaMetrics and cloud vendors speak too."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.adapters.count_source import CountSource

_LARGEST = 64 << 20
_TIMEOUT = "10s"


@dataclass(frozen=True, slots=True)
class Sample:
    """One series' value at the time of the query."""

    labels: dict[str, str]
    value: float


class PrometheusApi:
    """Asks one Prometheus; parameters are those of :class:`CountSource`."""

    def __init__(self, url: str, *, token: str | None = None, ca_file: Path | None = None) -> None:
        self._source = CountSource(url, called="Prometheus", token=token, ca_file=ca_file)
        self.name = self._source.name

    def close(self) -> None:
        """Close every connection."""
        self._source.close()

    def query(self, expression: str, subject: str) -> list[Sample]:
        """Evaluate an expression now; what is no vector is refused as nonsense."""
        fields = {"query": expression, "timeout": _TIMEOUT}
        place = self._source.whole()
        with self._source.ask(
            place, "/api/v1/query", subject=subject, fields=fields, method="POST"
        ) as pieces:
            body = bytearray()
            for piece in pieces:
                body += piece
                if len(body) > _LARGEST:
                    raise self._source.nonsense(subject, "its answer is too long")
        try:
            return _vector(json.loads(body))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise self._source.nonsense(subject, "its answer is not Prometheus' JSON") from error


def _vector(said: dict[str, Any]) -> list[Sample]:
    data = said["data"]
    if data["resultType"] != "vector":
        raise ValueError("not a vector")
    return [Sample(_labels(one["metric"]), float(one["value"][1])) for one in data["result"]]


def _labels(said: dict[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in said.items()}
