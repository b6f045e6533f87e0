"""``python -m tests.cluster build|up [A|B|C]|down|tidy|status|why-not``: the cluster, by hand."""

import argparse
import sys
from pathlib import Path

from tests.cluster.lending import tidy
from tests.cluster.stack.binaries import program
from tests.cluster.stack.building import build_control_plane, build_everything
from tests.cluster.stack.parts import ClusterError
from tests.cluster.stack.place import Place
from tests.cluster.stack.whole import Whole, why_not
from tests.servers.debian_packages import PackagesError
from tests.servers.go_tools import BuildError, say


def main() -> None:
    """Parse, do, say how it went; 1 for a no."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("build", help="build what is not in the cache")
    up = verbs.add_parser("up", help="bring the cluster up, building what is missing")
    up.add_argument("tier", nargs="?", choices=("A", "B", "C"), default="C")
    verbs.add_parser("down", help="take it down, in whichever state it is")
    verbs.add_parser("tidy", help="take down what a run of tests that was killed has left")
    verbs.add_parser("status", help="say what runs and what does not")
    verbs.add_parser("why-not", help="say why this machine can run no pods; 1 where it can")
    said = parser.parse_args()
    whole = Whole(Place())
    try:
        match said.verb:
            case "build":
                build_everything()
            case "up":
                _up(whole, said.tier)
            case "down":
                whole.down()
            case "tidy":
                tidy()
            case "status":
                _status(whole)
            case _:
                _why_not()
    except (BuildError, ClusterError, PackagesError) as error:
        sys.exit(str(error))


def _up(whole: Whole, tier: str) -> None:
    if tier == "A":
        build_control_plane()
    elif why := why_not():
        sys.exit(why)
    else:
        build_everything()
    whole.up(tier)
    say("up; for kubectl:")
    sys.stdout.write(f"export KUBECONFIG={whole.plane.kubeconfig}\n")
    sys.stdout.write(f"export PATH={Path(program('kubectl')).parent}:$PATH\n")


def _status(whole: Whole) -> None:
    parts = whole.parts
    if not parts.names():
        sys.exit("down")
    for name in parts.names():
        alive = parts.alive(name)
        found = f"runs as {parts.pid(name)}" if alive else f"ended: {parts.log(name)}"
        sys.stdout.write(f"{name:20} {found}\n")
    sys.exit(1 if whole.ended() else 0)


def _why_not() -> None:
    why = why_not()
    sys.stdout.write(f"{why}\n" if why else "")
    sys.exit(0 if why else 1)


if __name__ == "__main__":
    main()
