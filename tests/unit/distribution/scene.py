"""A registry that says what a test wants, whoever gives out its tokens, and a client of both."""

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.distribution.credentials import Credentials
from pipeline.distribution.request import Request, Scope
from pipeline.distribution.retries import Retries
from pipeline.distribution.transport import Transport
from tests.servers.fault_proxy import FaultProxy, fault_proxy, other_host
from tests.servers.faults import Answer
from tests.servers.token_server import PASSWORD, WRITER, TokenServer, running_token_server

BLOB = "/v2/ml/fraud/blobs/sha256:00"
MANIFEST = "/v2/ml/fraud/manifests/champion"
PULL = (Scope("ml/fraud"),)
PUSH = (Scope("ml/fraud", ("pull", "push")),)


@dataclass
class Scene:
    """``waits`` are the seconds that the client waited, had anybody let it."""

    registry: FaultProxy
    elsewhere: FaultProxy
    tokens: TokenServer
    config: Path
    environment: dict[str, str]
    transport: Transport
    waits: list[float] = field(default_factory=list)

    def log_in(self, username: str = WRITER, password: str = PASSWORD) -> None:
        """Write docker's configuration."""
        self.write(auth=base64.b64encode(f"{username}:{password}".encode()).decode())

    def write(self, **entry: str) -> None:
        """Write docker's entry for the registry."""
        self.config.write_text(json.dumps({"auths": {self.registry.host: entry}}))

    def wants_tokens(self, **parameters: str) -> None:
        """Make the registry refuse whoever has shown no token, the first time."""
        realm = {"realm": self.tokens.realm, "service": self.tokens.service, **parameters}
        self.wants("Bearer " + ",".join(f'{name}="{value}"' for name, value in realm.items()))

    def wants(self, challenge: str, *, nth: int | range | None = 1) -> None:
        """Make the registry refuse a request, and say yes to those that follow."""
        said = b'{"errors": [{"code": "UNAUTHORIZED", "message": "log in"}]}'
        self.registry.fault(Answer(401, {"WWW-Authenticate": challenge}, said), nth=nth)
        self.registry.fault(Answer(200))

    def ask(self, method: str = "GET", target: str = BLOB, **parts: object) -> int:
        """Send a request; return the status of what was lent."""
        with self.transport.open(self.request(method, target, **parts)) as response:
            return response.status

    def request(self, method: str = "GET", target: str = BLOB, **parts: object) -> Request:
        """Make a request to the registry."""
        said = {"scopes": PULL, "attempted": "read a layer", "subject": "ml/fraud", **parts}
        return Request(method, self.registry.host, target, **said)  # type: ignore[arg-type]  # fields of a request

    def shown(self) -> list[str]:
        """List what the registry was shown by each request, without secrets."""
        return [heard.headers.get("authorization", "") for heard in self.registry.heard()]


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """Start everything; the client has no login yet."""
    with ExitStack() as stack:
        registry = stack.enter_context(fault_proxy(None))
        elsewhere = stack.enter_context(other_host())
        tokens = stack.enter_context(running_token_server())
        waits: list[float] = []
        environment = {"DOCKER_CONFIG": str(folder)}
        transport = Transport(
            Credentials(environment),
            plain_http=[registry.host, elsewhere.host],
            retries=Retries(waits.append),
        )
        stack.callback(transport.close)
        config = folder / "config.json"
        yield Scene(registry, elsewhere, tokens, config, environment, transport, waits)
