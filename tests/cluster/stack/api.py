"""The API server as tests prepare and look at it: plain calls, JSON in and out."""

import json
import ssl
from typing import Any

import urllib3

_PATIENCE = urllib3.Timeout(connect=5, read=30)
Object = dict[str, Any]


class ApiError(Exception):
    """The API server said no, and the test did not expect it."""


class Api:
    """One user's connection; safe to share between threads."""

    def __init__(self, url: str, context: ssl.SSLContext, token: str | None = None) -> None:
        self._url = url
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(
            ssl_context=context, timeout=_PATIENCE, retries=False, headers=headers, maxsize=8
        )

    def call(
        self, method: str, path: str, body: object = None, kind: str = "application/json"
    ) -> tuple[int, Object]:
        """Call the API; status 0 where nobody answers."""
        headers = {**self._pool.headers, "Content-Type": kind}
        data = None if body is None else json.dumps(body)
        try:
            answer = self._pool.request(method, self._url + path, body=data, headers=headers)
        except urllib3.exceptions.HTTPError:
            return 0, {}
        try:
            said = json.loads(answer.data)
        except ValueError:
            said = {"message": answer.data.decode(errors="replace")}
        return answer.status, said if isinstance(said, dict) else {"message": said}

    def get(self, path: str) -> Object | None:
        """Read an object or a list, ``None`` where there is none."""
        status, said = self.call("GET", path)
        return None if status == 404 else _expected(status, said, path)

    def items(self, path: str) -> list[Object]:
        """Read the objects of a list."""
        found: list[Object] = (self.get(path) or {}).get("items", [])
        return found

    def create(self, path: str, manifest: Object) -> Object:
        """Create an object in the list at ``path``."""
        return _expected(*self.call("POST", path, manifest), path)

    def patch(self, path: str, operations: list[Object]) -> tuple[int, Object]:
        """Send one JSON patch (RFC 6902); status and answer."""
        return self.call("PATCH", path, operations, "application/json-patch+json")

    def merge(self, path: str, change: Object) -> Object:
        """Send one merge patch (RFC 7396)."""
        return _expected(*self.call("PATCH", path, change, "application/merge-patch+json"), path)

    def delete(self, path: str) -> None:
        """Delete an object; one that is not there is none the less deleted."""
        status, said = self.call("DELETE", path)
        if status != 404:
            _expected(status, said, path)


def _expected(status: int, said: Object, path: str) -> Object:
    if not 200 <= status < 300:
        raise ApiError(f"{path}: {status} {said.get('message', said)}")
    return said
