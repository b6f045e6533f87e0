"""Puts the demo together, and takes it down again however it ends."""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline.demo.claims import claims
from pipeline.demo.data_scientist import DataScientist
from pipeline.demo.installation import CANARY, MODEL, SERVICE, Installation, JsonApi, install
from pipeline.demo.mlflow_server import start_mlflow, wait_until_answering
from pipeline.demo.narrator import Narrator
from pipeline.demo.processes import tail
from pipeline.demo.report import print_json, print_table
from pipeline.demo.story import Story
from pipeline.demo.traffic import CLIENTS, RATE, Traffic
from pipeline.errors import LaurelError

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(*, keep: bool, as_json: bool) -> int:
    """Run the demo; 0 if everything that it claims was seen to happen, else 1.

    With ``keep`` it stays up, traffic included, until Ctrl-C or SIGTERM.
    """
    narrator = Narrator()
    with _interruptible() as ignore_signals, ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="laurel-demo-")))
        installation = install(folder)
        _print_plan(narrator, installation)
        try:
            story = _set_up(installation, narrator, stack)
            held = _perform(story, installation, narrator, as_json=as_json)
            if keep:
                _stay(installation, narrator)
        except LaurelError as error:
            narrator.title(f"laurel demo: {error}")
            held = False
        finally:
            ignore_signals()
            narrator.title("taking everything down")
    return 0 if held else 1


def _set_up(installation: Installation, narrator: Narrator, stack: ExitStack) -> Story:
    """Start everything at once; wait for each in the order in which it is needed."""
    folder = installation.folder
    mlflow = start_mlflow(folder, installation.mlflow_port)
    stack.callback(mlflow.stop)
    scientist = DataScientist(folder, installation.mlflow_url)
    stack.callback(scientist.stop)
    stack.callback(_down, installation, narrator)
    laurel = installation.up()
    stack.callback(laurel.stop)
    with narrator.waiting("MLflow and Laurel start, three models are trained"):
        wait_until_answering(laurel, f"{installation.url}/health/ready")
        narrator.say(f"Laurel is ready at {installation.url}")
        scientist.trained()
        narrator.say("three models are trained")
        wait_until_answering(mlflow, f"{installation.mlflow_url}/health")
        narrator.say(f"MLflow is ready at {installation.mlflow_url}")
    traffic = Traffic(installation.front_port, SERVICE)
    stack.callback(traffic.stop)
    token = (folder / "laurel.token").read_text().strip()
    laurel_api = JsonApi(installation.url, token, laurel.log)
    mlflow_api = JsonApi(installation.mlflow_url, log=mlflow.log)
    stack.callback(laurel_api.close)
    stack.callback(mlflow_api.close)
    return Story(installation, laurel_api, mlflow_api, scientist, traffic, narrator)


def _perform(
    story: Story, installation: Installation, narrator: Narrator, *, as_json: bool
) -> bool:
    """Tell the story and report on what was seen of it, to wherever it came."""
    trouble = None
    try:
        story.tell()
        story.check()
    except LaurelError as error:
        trouble = str(error)
    judged = claims(story.observed())
    (print_json if as_json else print_table)(story.observed(), judged)
    missing = [claim.text for claim in judged if not claim.holds]
    if missing:
        narrator.title("laurel demo: this did not happen: " + "; ".join(missing))
        narrator.title(f"laurel's log ends:\n{tail(installation.folder / 'laurel.log')}")
    if trouble is not None:
        narrator.title(f"laurel demo: {trouble}")
    return trouble is None and not missing


def _print_plan(narrator: Narrator, installation: Installation) -> None:
    steps = ", ".join(f"{step} %" for step in CANARY.steps)
    narrator.title("laurel demo: real MLflow, real images, real proxy, real traffic, on loopback")
    for line in (
        f"three versions of {MODEL} are trained and registered in MLflow; moving @champion there",
        "is all that asks for a promotion:",
        "  version 1  the first: straight to 100 %",
        f"  version 2  better: a canary at {steps}, {CANARY.interval:g} s and at least",
        f"             {CANARY.min_samples} requests each, judged every {CANARY.look_every:g} s",
        "  version 3  answers its own example and fails abroad: should go back by itself",
        "then version 1 again, by `laurel rollback`",
        f"meanwhile {CLIENTS} clients ask {RATE:g} times a second and count what fails",
        f"images go to {os.environ.get('LAUREL_REGISTRY', 'a folder, as an OCI image layout')}",
        f"in {installation.folder}; layers and unpacked images stay in Laurel's cache",
    ):
        narrator.title(f"  {line}")
    if installation.no_isolation:
        narrator.title(
            "  NO ISOLATION here, so model code runs as an ordinary process (serving.isolation: "
            f"none): {installation.no_isolation}"
        )


def _stay(installation: Installation, narrator: Narrator) -> None:
    narrator.title("everything stays up, traffic too; Ctrl-C takes it down")
    for line in (
        f"MLflow        {installation.mlflow_url}/#/models/{MODEL}",
        "              open version 2, click the pencil beside Aliases, add champion, save:",
        "              it served before, so it returns at once; Tags show what became of it",
        f"Laurel        {installation.url}/docs",
        f"the service   curl -H 'Host: {SERVICE}' {installation.front_url}/v2/health/ready",
        "watch it      " + " ".join(installation.command("status")),
    ):
        narrator.title(f"  {line}")
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        return


def _down(installation: Installation, narrator: Narrator) -> None:
    """End Envoy and the model servers, which outlive ``laurel up`` on purpose."""
    ran = installation.call("down")
    if ran.returncode:
        narrator.title(f"laurel down did not end what serves: {ran.stderr.strip()}")


@contextmanager
def _interruptible() -> Iterator[Callable[[], None]]:
    """Let every way of being told to end raise ``KeyboardInterrupt``, until the given function."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in _ENDINGS}

    def ignore() -> None:
        for number in _ENDINGS:
            signal.signal(number, signal.SIG_IGN)

    try:
        yield ignore
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
