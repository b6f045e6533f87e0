"""Tell whether the Laurel in this container lives: the health check of its own image."""

import http.client
import os
import sys

_OK = 200


def main() -> None:
    """Ask ``/health/live`` on the port that the settings or their default name."""
    port = int(os.environ.get("LAUREL_SERVER__PORT") or "8080")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", "/health/live")
        status = connection.getresponse().status
    except OSError as error:
        sys.exit(f"port {port}: {error}")
    if status != _OK:
        sys.exit(f"port {port}: {status}")


if __name__ == "__main__":
    main()
