"""Free ports of loopback."""

import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on, all different."""
    with ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]
