"""A real Chromium without a window, for a test that does what a person does with a page.

It is driven over its own pipe by the DevTools protocol: no port is opened, and no library brings a
second browser. What is clicked is first seen: visible, at rest, and covered by nothing else.
"""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.servers.debian_packages import missing_tools, unpacked
from tests.servers.unmeasured import unmeasured
from tests.servers.waiting import until

_NAMES = ("google-chrome", "chromium")
_PATIENCE = 60
_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # tests may be root's; it only ever opens pages of this machine
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-proxy-server",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--hide-scrollbars",
    "--lang=en-US",
)
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{packages}/usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{folder}/fonts</cachedir>
  <alias binding="same">
    <family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer>
  </alias>
</fontconfig>
"""
_POINT = """(selector, text) => {
  const moving = document.getAnimations().some(
    each => each.playState === "running" && each.effect.getComputedTiming().endTime < Infinity
  )
  const found = [...document.querySelectorAll(selector)].filter(
    each => each.getClientRects().length && (text === "" || each.textContent.trim() === text)
  )
  if (moving || !found.length) return null
  const last = found[found.length - 1]
  last.scrollIntoView({block: "nearest"})
  const box = last.getBoundingClientRect()
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2]
  const top = document.elementFromPoint(x, y)
  return top && (last.contains(top) || top.contains(last)) ? [x, y] : null
}"""


class BrowserError(Exception):
    """The browser ended, did not answer, or would not do what it was asked."""


def why_no_browser() -> str | None:
    """Say why this machine can have no browser, ``None`` where it can."""
    if _installed():
        return None
    if why := missing_tools():
        return f"a browser {why}; or {' or '.join(_NAMES)} on PATH"
    if "ID=ubuntu" in Path("/etc/os-release").read_text():
        return "Ubuntu has Chromium as a snap alone: put google-chrome on PATH"
    return None


def _installed() -> str | None:
    """Find the machine's own browser; a snap's sees none of our folders."""
    found = (shutil.which(name) for name in _NAMES)
    return next((path for path in found if path and not path.startswith("/snap/")), None)


class Page:
    """One page of a running browser."""

    def __init__(self, process: subprocess.Popen[bytes], to: int, of: int) -> None:
        self._process, self._to, self._of = process, to, of
        self._numbers, self._unread = itertools.count(1), b""
        self._session: str | None = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def size(self, width: int, height: int) -> None:
        """Make the window so large."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def open(self, url: str) -> None:
        """Go to an address."""
        answer = self._call("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")

    def text(self) -> str:
        """Read all that stands on the page."""
        return str(self._evaluate("document.body ? document.body.innerText : ''"))

    def sees(self, *texts: str) -> None:
        """Wait until all these texts stand on the page."""
        until(lambda: all(each in self.text() for each in texts), f"{texts}", say=self.text)

    def click(self, selector: str, text: str = "") -> None:
        """Click on the last element of this kind, with exactly this text, as soon as it rests."""
        x, y = until(lambda: self._resting(selector, text), f"{selector} {text}", say=self.text)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self._call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x,
                y=y,
                button="left",
                clickCount=1,
            )

    def fill(self, selector: str, text: str) -> None:
        """Click into a field, type, see what was typed there, and press Enter."""
        self.click(selector)
        focused = f"document.activeElement.matches({json.dumps(selector)})"
        until(lambda: self._evaluate(focused), f"the cursor in {selector}", say=self.text)
        self._call("Input.insertText", text=text)
        until(lambda: self._evaluate("document.activeElement.value") == text, f"{text}, typed")
        enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, **enter)

    def picture(self, left: int, width: int, height: int) -> bytes:
        """Photograph the window from ``left`` on as PNG, once two pictures are the same."""
        clip = {"x": left, "y": 0, "width": width, "height": height, "scale": 1}
        before = ""
        while before != (now := self._call("Page.captureScreenshot", clip=clip)["data"]):
            before = now
        return base64.b64decode(now)

    def _resting(self, selector: str, text: str) -> list[float] | None:
        """Say where an element is, if it is there, at rest, and what a click there would meet."""
        point: list[float] | None = self._evaluate(f"({_POINT})(...{json.dumps([selector, text])})")
        return point

    def _evaluate(self, expression: str) -> Any:  # noqa: ANN401 - any value of the page's
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{expression[:200]}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        said = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            said["sessionId"] = self._session
        os.write(self._to, json.dumps(said).encode() + b"\0")
        while (answer := self._read(method)).get("id") != number:
            pass  # events, which nobody asked for
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _read(self, method: str) -> dict[str, Any]:
        while b"\0" not in self._unread:
            if not select.select([self._of], [], [], _PATIENCE)[0]:
                raise BrowserError(f"{method}: no answer in {_PATIENCE} s")
            if not (more := os.read(self._of, 1 << 20)):
                raise BrowserError(f"{method}: the browser ended, {self._process.wait()}")
            self._unread += more
        message, _, self._unread = self._unread.partition(b"\0")
        read: dict[str, Any] = json.loads(message)
        return read


@contextmanager
def running_browser(folder: Path) -> Iterator[Page]:
    """Start a browser that keeps everything in ``folder``; end all of its processes afterwards."""
    program, environment = _program(folder)
    told, to = _pipe()
    of, answered = _pipe()
    # it reads 3 and writes 4, numbers that may be taken in this process
    renumbered = ["/bin/bash", "-c", f'exec "$0" "$@" 3<&{told} 4>&{answered}', program]
    with (
        (folder / "browser.log").open("wb") as log,
        TemporaryDirectory(prefix="laurel-", ignore_cleanup_errors=True) as sockets,
    ):
        process = subprocess.Popen(
            [*renumbered, *_FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            env=environment | {"TMPDIR": sockets},  # short: the name of a socket has 108 bytes
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(told, answered),
        )
        os.close(told)
        os.close(answered)
        try:
            yield Page(process, to, of)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(to)
            os.close(of)


def _pipe() -> tuple[int, int]:
    """Make a pipe whose ends are beyond the numbers that a shell can redirect."""
    low = os.pipe()
    read, write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low)
    for end in low:
        os.close(end)
    return read, write


def _program(folder: Path) -> tuple[str, dict[str, str]]:
    """Find a browser that is installed, else unpack Debian's; say in which environment it runs."""
    home = {"HOME": str(folder), "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    if found := _installed():
        return found, unmeasured() | home
    packages = unpacked("chromium", "fonts-dejavu-core")
    fonts = folder / "fonts.conf"
    fonts.write_text(_FONTS.format(packages=packages.folder, folder=folder))
    named = {"FONTCONFIG_FILE": str(fonts)}
    libraries = packages.environment["LD_LIBRARY_PATH"]
    for each in packages.folder.glob("usr/lib/*/pulseaudio"):  # beside the others, by fixed path
        libraries += f":{each}"
    program = packages.folder / "usr/lib/chromium/chromium"  # the one on PATH is a script for it
    return str(program), packages.environment | home | named | {"LD_LIBRARY_PATH": libraries}
