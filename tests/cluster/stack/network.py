"""The network inside: one bridge for programs, pods and the cable to this machine."""

from pathlib import Path

from tests.cluster.stack.apart import Apart, run
from tests.cluster.stack.place import API_SERVICE, ROOMS, Place

BRIDGE = "pods0"
_ORPHANS = "/proc/sys/net/ipv4/tcp_orphan_retries"
"""How often a connection whose process is dead says goodbye to a network that is gone: until it
gives up, minutes by default, it keeps its namespace."""
_HOSTS = "127.0.0.1 localhost\n{autoscaler} autoscaler.knative-serving.svc.cluster.local\n"


def lay(place: Place, apart: Apart) -> None:
    """Make the bridge, a cable to it from this machine, and a network namespace for each room."""
    cable = [
        f"link add {place.link} type veth peer up0 netns {apart.pid}",
        f"address add {place.outside}/16 dev {place.link}",
        f"link set {place.link} up",
    ]
    run("ip", "-batch", "-", given="\n".join(cable) + "\n", environment=apart.environment)
    lines = [
        f"link add {BRIDGE} type bridge",
        f"address add {place.host}/16 dev {BRIDGE}",
        f"address add {API_SERVICE}/32 dev {BRIDGE}",
        f"link set up0 master {BRIDGE} up",
        *(f"link set {link} up" for link in (BRIDGE, "lo")),
    ]
    for name in ROOMS:
        end = f"to-{name}"
        lines += [f"netns add {name}", f"link add {end} type veth peer eth0 netns {name}"]
        lines += [f"link set {end} master {BRIDGE} up"]
    apart("ip", "-batch", "-", given="\n".join(lines) + "\n")
    for name in ROOMS:
        wiring = [
            f"address add {place.room(name)}/16 dev eth0",
            *(f"link set {link} up" for link in ("eth0", "lo")),
            f"route add default via {place.host}",
        ]
        apart("ip", "-netns", name, "-batch", "-", given="\n".join(wiring) + "\n")
    for within in (apart.inside, *map(apart.room, ROOMS)):
        run(*within, "tee", _ORPHANS, given="1", environment=apart.environment)
    _name_servers(place, apart)


def _name_servers(place: Place, apart: Apart) -> None:
    """Lay what ``ip netns exec`` puts over ``/etc``: the few names that somebody asks for."""
    autoscaler = place.room("autoscaler")
    for room, file, text in (
        ("activator", "hosts", _HOSTS.format(autoscaler=autoscaler)),
        ("autoscaler", "resolv.conf", "nameserver 127.0.0.1\n"),
    ):
        apart("mkdir", "-p", f"/etc/netns/{room}")
        apart("tee", f"/etc/netns/{room}/{file}", given=text)


def linked(place: Place) -> bool:
    """Tell whether there is a cable; it goes with the namespace at its other end."""
    return Path("/sys/class/net", place.link).exists()
