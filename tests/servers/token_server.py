"""A token server as registries use them: it checks who asks, and signs what they may do.

It speaks both dialects: ``GET`` with Basic credentials, and OAuth2's ``POST`` with a password or
a refresh token (what ``config.json`` calls an identity token).
"""

import base64
import binascii
import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

WRITER, READER = "laurel", "reader"
PASSWORD = "open:sésame"
IDENTITY_TOKEN = "identity-token-of-laurel"
"""Both users have this password; the identity token is the writer's. Whoever is nobody may pull
from repositories below ``public/``."""

_KEY_ID = "tests"
_Form = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Asked:
    """A request that it heard, without its secrets."""

    method: str
    account: str | None
    grant: str | None
    service: str | None
    scopes: tuple[str, ...]
    client: str | None
    status: int


@dataclass(frozen=True)
class Manner:
    """How it answers now.

    ``lifetime`` is when a token ends, in seconds from now: distribution still takes it for
    60 seconds longer, so -61 is one that ended. ``expires_in`` is what the answer says of it,
    ``None`` for nothing. ``status`` other than 200 answers with ``body`` and ``headers``.
    """

    lifetime: int = 300
    expires_in: int | None = 300
    status: int = 200
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class TokenServer:
    """Where it is, what it heard, and a way to make it misbehave for a while."""

    realm: str
    service: str = "registry.test"
    issuer: str = "tokens.test"
    heard: list[Asked] = field(default_factory=list)
    manner: Manner = field(default_factory=Manner)
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1()), repr=False
    )

    @property
    def jwks(self) -> str:
        """The public key as registries read it."""
        numbers = self.key.public_key().public_numbers()
        point = {"x": _encoded(_fixed(numbers.x)), "y": _encoded(_fixed(numbers.y))}
        key = {"kty": "EC", "crv": "P-256", "kid": _KEY_ID, "alg": "ES256", "use": "sig", **point}
        return json.dumps({"keys": [key]})

    @contextmanager
    def granting(self, *, lifetime: int, expires_in: int | None = None) -> Iterator[None]:
        """Issue tokens of another lifetime within the context."""
        with self._behaving(replace(self.manner, lifetime=lifetime, expires_in=expires_in)):
            yield

    @contextmanager
    def answering(self, status: int, body: bytes = b"", **headers: str) -> Iterator[None]:
        """Say this to everybody within the context; header names have ``_`` for ``-``."""
        said = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        with self._behaving(replace(self.manner, status=status, body=body, headers=said)):
            yield

    @contextmanager
    def _behaving(self, manner: Manner) -> Iterator[None]:
        before, self.manner = self.manner, manner
        try:
            yield
        finally:
            self.manner = before

    def token(self, account: str | None, scopes: Sequence[str]) -> str:
        """Sign what an account may do of what was asked."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": self.service,
            "sub": account or "",
            "nbf": now - 600,
            "iat": now,
            "exp": now + self.manner.lifetime,
            "jti": uuid.uuid4().hex,
            "access": [access for scope in scopes if (access := _access(account, scope))],
        }
        header = {"typ": "JWT", "alg": "ES256", "kid": _KEY_ID}
        signed = f"{_encoded_json(header)}.{_encoded_json(claims)}"
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(SHA256())))
        return f"{signed}.{_encoded(_fixed(r) + _fixed(s))}"


@contextmanager
def running_token_server() -> Iterator[TokenServer]:
    """Serve until the context ends; the realm is named ``localhost``, as crane insists."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        tokens = TokenServer(f"http://localhost:{server.server_port}/token")
        server.RequestHandlerClass = type("Handler", (_Handler,), {"tokens": tokens})
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield tokens
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    tokens: TokenServer

    def do_GET(self) -> None:
        form = parse_qs(urlsplit(self.path).query)
        self._answer(form, *_of_basic(self.headers.get("Authorization")))

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        form = parse_qs(self.rfile.read(length).decode())
        self._answer(form, *_of_grant(form))

    def _answer(self, form: _Form, account: str | None, known: bool) -> None:  # noqa: FBT001 - told by the two callers alone
        tokens, manner = self.tokens, self.tokens.manner
        scopes = tuple(scope for given in form.get("scope", ()) for scope in given.split(" "))
        if manner.body is not None:
            status, body = manner.status, manner.body
        elif not known:
            status, body = 401, _refusal()
        else:
            status, body = 200, self._grant(form, account, scopes)
        grant, service, client = (_one(form, k) for k in ("grant_type", "service", "client_id"))
        tokens.heard.append(Asked(self.command, account, grant, service, scopes, client, status))
        self.send_response(status)
        for name, value in manner.headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _grant(self, form: _Form, account: str | None, scopes: Sequence[str]) -> bytes:
        """Say a token in the dialect that was spoken."""
        token, expires_in = self.tokens.token(account, scopes), self.tokens.manner.expires_in
        said: dict[str, object] = {"access_token": token}
        if self.command == "GET":
            said["token"] = token
        if expires_in is not None:
            said["expires_in"] = expires_in
        if account == WRITER and "true" in form.get("offline_token", ()):
            said["refresh_token"] = IDENTITY_TOKEN
        return json.dumps(said).encode()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        del format, args


def _of_basic(header: str | None) -> tuple[str | None, bool]:
    """Read who asks from Basic credentials; nobody is welcome, a wrong password is not."""
    if header is None:
        return None, True
    try:
        pair = base64.b64decode(header.removeprefix("Basic "), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None, False
    account, _, password = pair.partition(":")
    return account, account in (WRITER, READER) and password == PASSWORD


def _of_grant(form: _Form) -> tuple[str | None, bool]:
    if _one(form, "grant_type") == "refresh_token":
        return WRITER, _one(form, "refresh_token") == IDENTITY_TOKEN
    account = _one(form, "username")
    return account, account in (WRITER, READER) and _one(form, "password") == PASSWORD


def _one(form: _Form, name: str) -> str | None:
    return next(iter(form.get(name, ())), None)


def _access(account: str | None, scope: str) -> dict[str, object] | None:
    """Allow what an account may do of one scope, ``repository:NAME:pull,push``."""
    kind, _, rest = scope.partition(":")
    name, _, asked = rest.rpartition(":")
    allowed = {"pull"} if account == READER or name.startswith("public/") else set()
    actions = [each for each in asked.split(",") if account == WRITER or each in allowed]
    return {"type": kind, "name": name, "actions": actions} if actions else None


def _refusal() -> bytes:
    return b'{"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]}'


def _fixed(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _encoded_json(content: object) -> str:
    return _encoded(json.dumps(content).encode())
