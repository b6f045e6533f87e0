"""The one door to the API server: raw JSON in and out, our errors, watches, a count of calls."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pipeline.errors import NotFoundError, UnavailableError
from pipeline.kserve.api_errors import Answer, Asked, refusal
from pipeline.kserve.api_server import ApiServer, Call
from pipeline.kserve.login import log_in
from pipeline.kserve.resources import ACCESS_REVIEWS, PODS, Resource
from pipeline.kserve.watching import Json, Snapshot, Watching

_LONGEST_LOG = 1 << 16
_LOG_READ = 1 << 20  # a server that limits cuts off the end, and the last words are there
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_JSON_PATCH = "application/json-patch+json"
Query = tuple[tuple[str, str], ...]


def connect(*, kubeconfig: Path | None, context: str | None, namespace: str) -> "Cluster":
    """Log in as kubectl would; nothing is asked of the server yet.

    Without ``kubeconfig``: as the pod's service account, else by ``KUBECONFIG`` or
    ``~/.kube/config``. ``ConfigurationError`` where no login can be read.
    """
    return Cluster(ApiServer(partial(log_in, kubeconfig, context)), namespace)


@dataclass(frozen=True, slots=True)
class Listing:
    """Objects of one kind, and the version of the whole from which a watch can go on."""

    items: list[Json]
    version: str


class Cluster:
    """One namespace of one API server.

    Every call is sent once and raises only errors of :mod:`pipeline.errors`.
    """

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self._server = server
        self.namespace = namespace

    @property
    def calls(self) -> Counter[tuple[str, str]]:
        """Count requests by verb and plural: ``{("patch", "inferenceservices/status"): 1}``."""
        return self._server.calls

    def get(self, kind: Resource, name: str) -> Json | None:
        """Read one object; ``None`` where there is none of that name.

        ``NotFoundError`` where the cluster does not know the kind.
        """
        call = self._call("get", kind, name)
        answer = self._server.answer(call)
        return None if answer.names_the_missing(name) else _object(answer, call.asked)

    def list(self, kind: Resource, *, labels: str = "", fields: str = "") -> list[Json]:
        """Read the objects that both selectors choose."""
        return self.listed(kind, labels=labels, fields=fields).items

    def listed(self, kind: Resource, *, labels: str = "", fields: str = "") -> "Listing":
        """Read as :meth:`list`, with the version from which a watch can go on."""
        chosen = (("labelSelector", labels), ("fieldSelector", fields))
        call = self._call("list", kind, query=tuple(pair for pair in chosen if pair[1]))
        said = _object(self._server.answer(call), call.asked)
        items, metadata = said.get("items"), said.get("metadata")
        if not isinstance(items, list) or not isinstance(metadata, dict):
            hint = f"{self._server.address} answers with no list: is it an API server?"
            raise UnavailableError(call.asked.attempted, call.asked.subject, hint)
        return Listing(items, str(metadata.get("resourceVersion", "")))

    def create(self, kind: Resource, manifest: Json) -> Json:
        """Make an object; ``ConflictError`` where there is one of that name."""
        name = str(manifest.get("metadata", {}).get("name", ""))
        asked = self._asked("create", kind, name)
        call = self._call("create", kind, method="POST", body=manifest, asked=asked)
        return _object(self._server.answer(call), asked)

    def patch(
        self,
        kind: Resource,
        name: str,
        operations: Sequence[Json],
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Json:
        """Apply one RFC 6902 JSON patch, all of it or nothing; the object as it is then.

        ``ConflictError`` where a ``test`` of it fails: the server does not say which one.
        """
        call = self._call(
            "patch",
            kind,
            name,
            subresource,
            method="PATCH",
            query=(("dryRun", "All"),) if dry_run else (),
            body=list(operations),
        )
        return _object(self._server.answer(call), call.asked)

    def delete(self, kind: Resource, name: str) -> None:
        """Remove an object; not there: nothing changes."""
        call = self._call("delete", kind, name, method="DELETE")
        answer = self._server.answer(call)
        if not answer.ok and not answer.names_the_missing(name):
            raise refusal(answer, call.asked)

    def watch(self, kind: Resource, name: str, *, seconds: float) -> Iterator[Json | None]:
        """Give an object as it is now, ``None`` if absent, then each change; ends by itself.

        Goes on by itself after 410 Gone, a broken or silent connection and a restart of the server;
        ``UnavailableError`` only where the server is away when the time is over.
        """
        return Watching(_Followed(self, kind, name), seconds).changes()

    def stream(
        self, kind: Resource, query: Query, silence: float
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open one watch as the server gives it; most want :meth:`watch`."""
        return self._server.stream(self._call("watch", kind, query=query), silence)

    def logs(self, pod: str, container: str, *, lines: int, previous: bool = False) -> str:
        """Read the last lines that a container wrote, at most 64 KiB; ``""`` where it has none."""
        query = (
            ("container", container),
            ("tailLines", str(lines)),
            ("limitBytes", str(_LOG_READ)),
            ("previous", str(previous).lower()),
        )
        call = self._call("get", PODS, pod, "log", query=query)
        answer = self._server.answer(call)
        if answer.status == HTTPStatus.BAD_REQUEST or answer.names_the_missing(pod):
            return ""  # a container that did not start yet, or a pod that is gone
        if not answer.ok:
            raise refusal(answer, call.asked)
        return answer.body[-_LONGEST_LOG:].decode(errors="replace")

    def may(self, verb: str, kind: Resource, *, subresource: str = "", name: str = "") -> bool:
        """Ask whether this login has a right in this namespace."""
        wanted = {
            "namespace": self.namespace,
            "verb": verb,
            "group": kind.group,
            "resource": kind.plural,
            "subresource": subresource,
            "name": name,
        }
        review = {
            "apiVersion": f"{ACCESS_REVIEWS.group}/{ACCESS_REVIEWS.version}",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: said for key, said in wanted.items() if said}},
        }
        path = f"{ACCESS_REVIEWS.api}/{ACCESS_REVIEWS.plural}"
        asked = self._asked(f"find out whether we may {verb}", kind, name)
        call = Call("POST", path, (), ("create", ACCESS_REVIEWS.plural), asked, review)
        status = _object(self._server.answer(call), asked).get("status")
        return isinstance(status, dict) and status.get("allowed") is True

    def exists(self) -> bool:
        """Tell whether the namespace is there; needs the right to ``get`` it by name."""
        name = self.namespace
        asked = Asked("find the namespace", f"namespaces {name}", self._server.address)
        if not _NAME.fullmatch(name):
            return False
        path = f"/api/v1/namespaces/{name}"
        answer = self._server.answer(Call("GET", path, (), ("get", "namespaces"), asked))
        return not answer.names_the_missing(name) and bool(_object(answer, asked))

    def serves(self, kind: Resource) -> bool:
        """Tell whether the cluster knows a kind: whether its definition is installed."""
        asked = self._asked("find out what the cluster serves", kind)
        answer = self._server.answer(Call("GET", kind.api, (), ("discover", kind.plural), asked))
        if answer.status == HTTPStatus.NOT_FOUND:
            return False
        known = _object(answer, asked).get("resources")
        return any(
            isinstance(one, dict) and one.get("name") == kind.plural
            for one in (known if isinstance(known, list) else ())
        )

    def _call(  # noqa: PLR0913 - what a request consists of
        self,
        verb: str,
        kind: Resource,
        name: str = "",
        subresource: str = "",
        *,
        method: str = "GET",
        query: Query = (),
        body: Any = None,  # noqa: ANN401 - JSON
        asked: Asked | None = None,
    ) -> Call:
        asked = asked or self._asked(verb, kind, name)
        if not _NAME.fullmatch(self.namespace) or (name and not _NAME.fullmatch(name)):
            hint = "no object can have that name"  # nor may it become another path
            raise NotFoundError(asked.attempted, asked.subject, hint)
        parts = (kind.api, "namespaces", self.namespace, kind.plural, name, subresource)
        path = "/".join(part for part in parts if part)
        counted = (verb, f"{kind.plural}/{subresource}" if subresource else kind.plural)
        content_type = _JSON_PATCH if method == "PATCH" else "application/json"
        return Call(method, path, query, counted, asked, body, content_type)

    def _asked(self, attempted: str, kind: Resource, name: str = "") -> Asked:
        subject = (
            f"{kind.plural} {self.namespace}/{name}"
            if name
            else f"{kind.plural} in {self.namespace}"
        )
        return Asked(f"{attempted} on Kubernetes", subject, self._server.address)


@dataclass(frozen=True, slots=True)
class _Followed:
    """One object, as :class:`Watching` reads it."""

    cluster: Cluster
    kind: Resource
    name: str

    @property
    def asked(self) -> Asked:
        return self.cluster._asked("watch", self.kind, self.name)  # noqa: SLF001 - of this module

    def read(self) -> Snapshot:
        """Read by a list, which has a version to watch from where the object is absent too."""
        found = self.cluster.listed(self.kind, fields=f"metadata.name={self.name}")
        return Snapshot(found.items[0] if found.items else None, found.version)

    def stream(
        self, version: str, seconds: int, silence: float
    ) -> AbstractContextManager[Iterator[bytes]]:
        query = (
            ("watch", "true"),
            ("fieldSelector", f"metadata.name={self.name}"),
            ("resourceVersion", version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(seconds)),
        )
        return self.cluster.stream(self.kind, query, silence)


def _object(answer: Answer, asked: Asked) -> Json:
    """Read an answer that should be an object."""
    if not answer.ok:
        raise refusal(answer, asked)
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        hint = f"{asked.server} answers with no JSON: is it an API server?"
        raise UnavailableError(asked.attempted, asked.subject, hint) from error
    return said if isinstance(said, dict) else {}
