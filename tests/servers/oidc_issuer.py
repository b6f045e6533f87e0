"""An OIDC issuer on loopback, as GitHub's is for Actions: it rotates its keys, is down, or lies."""

import json
import secrets
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.servers.certificates import Certificate

AUDIENCE = "laurel"
REQUEST = "what GitHub gave the job to ask with"
KEYS, DISCOVERY = "/keys", "/.well-known/openid-configuration"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass
class Answer:
    """What the issuer answers at one path."""

    content: object
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0

    def body(self) -> bytes:
        """Write it as bytes."""
        content = self.content
        return content if isinstance(content, bytes) else json.dumps(content).encode()


class Issuer:
    """Signs tokens and publishes its keys; ``answers`` hold what it says at each path."""

    def __init__(self, certificate: Certificate | None = None) -> None:
        self._certificate = certificate
        self._server: _Server | None = None
        self._port = 0
        self._scheme = "https" if certificate else "http"
        self.asked: list[str] = []
        self.answers: dict[str, Answer] = {}
        self.minted: list[str] = []
        self.lasting = 300
        self.repository = "acme/models"
        self.kid = ""

    @property
    def url(self) -> str:
        """What its tokens have as ``iss``."""
        return f"{self._scheme}://127.0.0.1:{self._port}"

    @property
    def job(self) -> dict[str, str]:
        """The variables by which a job of GitHub Actions asks for its tokens."""
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST,
        }

    def mint(self, audience: str) -> Answer:
        """Give a job a token, as GitHub does."""
        self.minted.append(self.token(aud=audience, exp=int(time.time()) + self.lasting))
        return Answer({"value": self.minted[-1]})

    def up(self) -> None:
        """Answer, at the same port as before if there was one."""
        self._server = _Server(self, self._port, self._certificate)
        self._port = self._server.server_port
        self._server.start()
        if not self.kid:
            self.rotate()

    def down(self) -> None:
        """Stop answering: nobody listens any more."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def rotate(self, key: PrivateKey | None = None, *, keep: bool = False) -> None:
        """Sign with another key from now on; the one before is published on if ``keep``."""
        before = self._published() if keep else []
        self.kid, self.key = secrets.token_hex(8), key or _rsa(secrets.randbelow(3))
        self.answers[KEYS] = Answer({"keys": [*before, self.jwk()]})
        said = {"issuer": self.url, "jwks_uri": self.url + KEYS}
        self.answers[DISCOVERY] = Answer(said)

    def jwk(self, **changes: object) -> dict[str, Any]:
        """Write the public key that tokens are signed with now."""
        public = _jwk(self.key)
        return public | {"kid": self.kid, "use": "sig"} | changes

    def claims(self, **changes: object) -> dict[str, Any]:
        """Write claims as GitHub does; ``None`` leaves one out."""
        now = int(time.time())
        said = {
            "iss": self.url,
            "sub": "repo:acme/models:environment:production",
            "aud": AUDIENCE,
            "jti": secrets.token_hex(8),
            "iat": now,
            "nbf": now - 300,
            "exp": now + 300,
            "actor": "octocat",
            "repository": self.repository,
            "environment": "production",
        }
        return {name: value for name, value in (said | changes).items() if value is not None}

    def token(self, headers: dict[str, Any] | None = None, **changes: object) -> str:
        """Sign a token; ``changes`` are claims."""
        algorithm = "RS256" if isinstance(self.key, rsa.RSAPrivateKey) else "ES256"
        headers = {"kid": self.kid} | (headers or {})
        return jwt.encode(self.claims(**changes), self.key, algorithm, headers=headers)

    def _published(self) -> list[dict[str, Any]]:
        content = self.answers[KEYS].content
        assert isinstance(content, dict)
        keys: list[dict[str, Any]] = content["keys"]
        return keys


def _jwk(key: PrivateKey) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return ECAlgorithm.to_jwk(key.public_key(), as_dict=True)


@cache
def _rsa(number: int) -> rsa.RSAPrivateKey:
    del number
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, issuer: Issuer, port: int, certificate: Certificate | None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.issuer = issuer
        self.stopping = threading.Event()
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that does not trust us hangs up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        issuer = self.server.issuer
        issuer.asked.append(self.path)
        answer = issuer.answers.get(self.path) or self._minted() or Answer({}, 404)
        self.send_response(answer.status)
        body = answer.body()
        for name, value in ({"Content-Length": str(len(body))} | answer.headers).items():
            self.send_header(name, value)
        self.end_headers()
        for at in range(0, len(body), 4096) if answer.pause else ():
            self.server.stopping.wait(answer.pause)
            self.wfile.write(body[at : at + 4096])
        if not answer.pause:
            self.wfile.write(body)

    def _minted(self) -> Answer | None:
        asked = urlsplit(self.path)
        audience = parse_qs(asked.query).get("audience", [])
        if asked.path != "/token" or len(audience) != 1:
            return None
        if self.headers["Authorization"] != f"Bearer {REQUEST}":
            return Answer({}, 401)
        return self.server.issuer.mint(audience[0])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        del format, args


@contextmanager
def running_issuer(certificate: Certificate | None = None) -> Iterator[Issuer]:
    """Run an issuer until the context ends."""
    issuer = Issuer(certificate)
    issuer.up()
    try:
        yield issuer
    finally:
        issuer.down()
