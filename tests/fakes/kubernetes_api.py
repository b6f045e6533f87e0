"""A small real API server on loopback: what Laurel asks of one, answered as the real one does.

Get, list, watch, create, JSON patch (``/status`` too), delete, dry run, field validation,
discovery, access reviews and logs, with its status codes and bodies; and the ways to be away.
"""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from tests.fakes.kubernetes_http import Listener
from tests.fakes.kubernetes_paths import Asked
from tests.fakes.kubernetes_status import (
    KINDS,
    POD,
    Json,
    Kind,
    Refused,
    bad_request,
    expired,
    forbidden,
    not_found,
    unauthorized,
)
from tests.fakes.kubernetes_store import Change, Store

TOKEN = "token-of-laurel"
USER = "system:serviceaccount:laurel:laurel"
_NAMESPACE = Kind("", "v1", "namespaces", "Namespace")


@dataclass
class ApiServer:
    """The server and its switches.

    Parameters
    ----------
    store
        What it serves.
    namespaces
        Those that exist.
    tokens
        Who may ask, by bearer token.
    rights
        ``(verb, resource)`` pairs, a resource as ``inferenceservices/status``; ``None`` is all.
    logs
        Gives what a container wrote: of which pod, container, and whether of the run before.
    missing
        Qualified plurals whose definitions are not installed.
    refusals
        What the next requests get, one each.
    at_watch
        What is done when the next watches have begun, one each.
    gone_as_status
        Whether a watch from a forgotten version is told 410 before it begins, or in an event.
    silent
        Whether watches stay open and say nothing, as behind a firewall that forgot them.

    """

    store: Store
    namespaces: set[str] = field(default_factory=lambda: {"default", "ml"})
    tokens: dict[str, str] = field(default_factory=lambda: {TOKEN: USER})
    rights: set[tuple[str, str]] | None = None
    logs: Callable[[Json, str, bool], str] = lambda *_: ""
    missing: set[str] = field(default_factory=set)
    refusals: list[Refused] = field(default_factory=list)
    at_watch: list[Callable[[], object]] = field(default_factory=list)
    gone_as_status: bool = False
    silent: bool = False
    tls: ssl.SSLContext | None = None
    seen: list[Asked] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._running: tuple[Listener, threading.Thread] | None = None
        self._orders: list[str] = []

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the port of the last time if there was one."""
        listener = Listener(self.port, self, self.tls)
        self.port = listener.server_port
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self._running = (listener, thread)

    def stop(self) -> None:
        """End, and with it every connection: the next one is refused."""
        if self._running is not None:
            (listener, thread), self._running = self._running, None
            self.order("break")
            listener.shutdown()
            thread.join()
            listener.server_close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Be stopped for as long as the context lasts."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def order(self, what: str) -> None:
        """Have those who watch ``break`` off, told 410 (``expire``), or given a ``bookmark``."""
        with self.store.changed:
            self._orders.append(what)
            self.store.changed.notify_all()

    def count(self, verb: str, resource: str) -> int:
        """Count requests."""
        return sum(asked.verb == verb and asked.resource == resource for asked in self.seen)

    def kubeconfig(self, folder: Path, *, token: str = TOKEN, ca: Path | None = None) -> Path:
        """Write a kubeconfig that logs in here; JSON is YAML."""
        cluster: Json = {"server": self.url}
        if ca is not None:
            cluster["certificate-authority"] = str(ca)
        made = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "laurel"}}],
            "clusters": [{"name": "fake", "cluster": cluster}],
            "users": [{"name": "laurel", "user": {"token": token}}],
        }
        path = folder / "kubeconfig"
        path.write_text(json.dumps(made))
        path.chmod(0o600)
        return path

    def admit(self, authorization: str, asked: Asked | None) -> None:
        """Raise where this login may not ask that, or nothing of it is served."""
        user = self.tokens.get(authorization.partition(" ")[2])
        if user is None:
            raise unauthorized()
        if asked is None or (asked.kind and asked.kind.qualified in self.missing):
            raise LookupError
        self.seen.append(asked)
        if self.refusals:
            raise self.refusals.pop(0)
        if not asked.resource or asked.resource == "selfsubjectaccessreviews":
            return
        if not self._may(asked.verb, asked.resource):
            kind = asked.kind or _NAMESPACE
            raise forbidden(user, asked.verb, kind, asked.resource, asked.namespace, asked.name)

    def answer(self, asked: Asked) -> Json | str:
        """Answer what is no watch; text is a log."""
        if asked.kind is not None:
            return self._of_objects(asked.kind, asked)
        if asked.verb == "discover":
            return self._discovery(asked.name)
        if asked.resource == "selfsubjectaccessreviews":
            wanted = asked.body["spec"]["resourceAttributes"]
            said = "/".join(filter(None, (wanted["resource"], wanted.get("subresource"))))
            return {**asked.body, "status": {"allowed": self._may(wanted["verb"], said)}}
        if asked.name not in self.namespaces:
            raise not_found(_NAMESPACE, asked.name)
        return {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": asked.name}}

    def watched(self, asked: Asked) -> Iterator[Json]:
        """Give events until the time is over or somebody orders otherwise; ``{}`` is no event."""
        assert asked.kind is not None
        version = int(asked.query.get("resourceVersion") or self.store.version)
        end = monotonic() + float(asked.query.get("timeoutSeconds", "300"))
        heard = len(self._orders)
        fields = asked.query.get("fieldSelector", "")
        if self.gone_as_status:
            self.store.since(asked.kind, asked.namespace, version, fields)
        yield {}
        if self.at_watch:
            self.at_watch.pop(0)()
        while True:
            with self.store.changed:
                found, gone = self._since(asked.kind, asked.namespace, version, fields)
                orders, heard = self._orders[heard:], len(self._orders)
                left = end - monotonic()
                if not found and not orders and not gone and (left > 0 or self.silent):
                    self.store.changed.wait(None if self.silent else left)
                    continue
            yield from ({"type": change.type, "object": change.object} for change in found)
            version = max([version, *(change.version for change in found)])
            if "break" in orders:
                raise ConnectionAbortedError
            if gone or "expire" in orders:
                yield {"type": "ERROR", "object": gone or expired(version, version).status}
                return
            if "bookmark" in orders:
                yield _bookmark(asked.kind, version)
            if left <= 0 and not self.silent:
                return

    def _since(
        self, kind: Kind, namespace: str, version: int, fields: str
    ) -> tuple[list[Change], Json | None]:
        try:
            return self.store.since(kind, namespace, version, fields), None
        except Refused as refused:
            return [], refused.status

    def _of_objects(self, kind: Kind, asked: Asked) -> Json | str:
        store, namespace, name = self.store, asked.namespace, asked.name
        match asked.verb:
            case "get" if asked.resource == "pods/log":
                return self._log(asked)
            case "get":
                return store.get(kind, namespace, name)
            case "list":
                return self._list(kind, asked)
            case "create":
                return self._create(kind, asked)
            case "patch":
                return self._patch(kind, asked)
            case _:
                store.delete(kind, namespace, name)
                return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}

    def _list(self, kind: Kind, asked: Asked) -> Json:
        labels, fields = (asked.query.get(f"{of}Selector", "") for of in ("label", "field"))
        with self.store.changed:
            return {
                "kind": f"{kind.kind}List",
                "apiVersion": kind.api_version,
                "metadata": {"resourceVersion": str(self.store.version)},
                "items": self.store.all(kind, asked.namespace, labels=labels, fields=fields),
            }

    def _create(self, kind: Kind, asked: Asked) -> Json:
        if asked.namespace not in self.namespaces:
            raise not_found(_NAMESPACE, asked.namespace)
        asked.body.setdefault("metadata", {})["namespace"] = asked.namespace
        return self.store.create(kind, asked.body, **asked.how)

    def _patch(self, kind: Kind, asked: Asked) -> Json:
        if not isinstance(asked.body, list):
            raise bad_request("the body of the request was in an unknown format")
        how = {**asked.how, "subresource": asked.resource.partition("/")[2]}
        return self.store.patch(kind, asked.namespace, asked.name, asked.body, **how)

    def _log(self, asked: Asked) -> str:
        pod = self.store.get(POD, asked.namespace, asked.name)
        previous = asked.query.get("previous") == "true"
        text = self.logs(pod, asked.query.get("container", ""), previous)
        lines = text.splitlines(keepends=True)[-int(asked.query.get("tailLines", "1000")) :]
        limit = int(asked.query.get("limitBytes", str(1 << 20)))
        return "".join(lines).encode()[:limit].decode(errors="replace")

    def _discovery(self, version: str) -> Json:
        known = [
            {"name": kind.plural, "kind": kind.kind, "namespaced": True}
            for kind in KINDS
            if kind.api_version == version and kind.qualified not in self.missing
        ]
        if not known:
            raise LookupError
        return {"kind": "APIResourceList", "groupVersion": version, "resources": known}

    def _may(self, verb: str, resource: str) -> bool:
        return self.rights is None or (verb, resource) in self.rights


def _bookmark(kind: Kind, version: int) -> Json:
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    made = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
    return {"type": "BOOKMARK", "object": made}
