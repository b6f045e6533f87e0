"""``base: host``: this machine's Python runs where there is nothing else."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from pipeline.adapters import host_base, host_libraries
from pipeline.adapters.host_base import HostBase
from pipeline.adapters.host_python import HostFile
from pipeline.adapters.layer_store import LayerStore
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.domain.evidence import Refused
from pipeline.domain.oci import Base
from pipeline.errors import ConfigurationError
from pipeline.image.config import host_platform
from pipeline.image.unpack import unpack_layer

pytestmark = pytest.mark.xdist_group("host_base")

REPOSITORY = "ml/fraud"
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
ASK = """
import bz2, ctypes, decimal, hashlib, json, lzma, multiprocessing, pwd, sqlite3, ssl, sys, zlib
ctypes.CDLL("libstdc++.so.6")
print(json.dumps({
    "version": sys.version,
    "prefix": [sys.prefix, sys.exec_prefix, *sys.path[1:]],
    "source": json.dumps.__code__.co_filename,
    "compiled": json.__cached__,
    "user": pwd.getpwuid(65532).pw_dir,
    "rows": sqlite3.connect(":memory:").execute("select 1").fetchall(),
    "tls": ssl.create_default_context().verify_mode,
}))
"""

MAKE = """
import sys
from pathlib import Path
from pipeline.adapters.host_base import HostBase
from pipeline.adapters.layer_store import LayerStore
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.image.config import host_platform
from pipeline.image.unpack import unpack_layer
registry = LayoutRegistry(Path("images"))
base = HostBase(LayerStore(Path("cache"))).provide(
    "host",
    "ml/fraud",
    platform=host_platform(),
    python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
    registry=registry,
)
Path("root").mkdir()
unpack_layer(registry.read_blob("ml/fraud", base.digest), Path("root"))
"""


def provide(
    store: LayerStore,
    registry: LayoutRegistry,
    platform: str = host_platform(),
    python_version: str = HERE,
) -> Base | Refused:
    return HostBase(store).provide(
        "host", REPOSITORY, platform=platform, python_version=python_version, registry=registry
    )


class Provided:
    """The base of this host, made once for all tests of this file, and unpacked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = LayoutRegistry(folder / "images")
        self.base = self.again()
        self.root = folder / "root"
        self.root.mkdir()
        for layer in self.base.layers:
            unpack_layer(self.registry.read_blob(REPOSITORY, layer.descriptor.digest), self.root)

    def again(self, cache: str = "cache") -> Base:
        store = LayerStore(self.folder / cache)
        base = provide(store, self.registry)
        assert isinstance(base, Base)
        return base

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the base's interpreter with nothing of this host in reach, in a bare root."""
        return subprocess.run(
            ["unshare", "-r", "chroot", str(self.root), self.base.python, *arguments],  # noqa: S607 - util-linux
            env={**self.base.env, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def provided(tmp_path_factory: pytest.TempPathFactory) -> Provided:
    return Provided(tmp_path_factory.mktemp("host"))


def test_it_runs_in_a_bare_root_with_what_models_need(provided: Provided) -> None:
    ran = provided.python("-c", ASK)
    if "unshare failed" in ran.stderr:
        pytest.skip("needs user namespaces, which this machine denies")
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert said["version"] == sys.version
    assert all(path.startswith("/opt/python") for path in said["prefix"])
    assert said["source"].startswith("/opt/python/")
    assert said["compiled"].startswith("/opt/python/")
    assert said["user"] == "/tmp"  # noqa: S108 - in the image
    assert said["rows"] == [[1]]


def test_bytecode_is_used_as_it_is(provided: Provided) -> None:
    ran = provided.python("-v", "-c", "import json")
    if "unshare failed" in ran.stderr:
        pytest.skip("needs user namespaces, which this machine denies")
    assert "matches /opt/python" in ran.stderr
    assert "wrote " not in ran.stderr
    sources = list((provided.root / "opt/python").rglob("*.py"))
    assert len(list((provided.root / "opt/python").rglob("*.pyc"))) == len(sources) > 300


def test_no_folder_of_this_host_is_in_names_or_bytes(provided: Provided) -> None:
    folders = {sys.base_prefix, str(Path.home()), str(provided.folder)}
    folders |= {str(sysconfig.get_config_var(name)) for name in ("abs_srcdir", "abs_builddir")}
    private = [
        folder.encode() for folder in folders if folder not in {"/usr", "/usr/local", "None", "/"}
    ]
    files = [path for path in provided.root.rglob("*") if path.is_file()]
    assert private
    assert not [
        (path, folder) for path in files for folder in private if folder in path.read_bytes()
    ]


def test_only_what_is_needed_is_in_it(provided: Provided) -> None:
    names = {path.name for path in provided.root.rglob("*")}
    assert not names & {"test", "tests", "idlelib", "tkinter", "ensurepip", "site-packages"}
    assert not [name for name in names if name.startswith(("_tkinter", "libX11", "config-"))]
    size = sum(layer.descriptor.size for layer in provided.base.layers)
    assert 20_000_000 < size < 150_000_000
    assert {path.name for path in provided.root.iterdir()} >= {"dev", "etc", "opt", "proc", "tmp"}
    assert (provided.root / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_it_is_made_once_per_state_of_the_host(
    provided: Provided, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_base, "portable", None)  # making it again would call this
    assert provided.again() == provided.base


def test_the_host_is_asked_again_only_when_its_files_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def host_files() -> tuple[HostFile, ...]:
        asked.append(1)
        sources = sorted(tmp_path.glob("*.py"))
        return tuple(
            HostFile(f"opt/python/{file.name}", file, executable=False) for file in sources
        )

    monkeypatch.setattr(host_base, "host_files", host_files)
    base = HostBase(LayerStore(tmp_path / "cache"))
    registry = LayoutRegistry(tmp_path / "images")

    def provided() -> Base | Refused:
        return base.provide(
            "host", REPOSITORY, platform=host_platform(), python_version=HERE, registry=registry
        )

    (tmp_path / "one.py").write_text("1")
    assert provided() == provided()
    assert len(asked) == 1
    (tmp_path / "two.py").write_text("2")
    two = provided()
    assert len(asked) == 2
    (tmp_path / "one.py").unlink()
    assert provided() != two
    assert len(asked) == 3


def test_made_anew_it_has_the_same_digest(provided: Provided) -> None:
    assert provided.again("other cache").digest == provided.base.digest


@pytest.mark.parametrize("wanted", [("linux/s390x", HERE), (host_platform(), "3.4")], ids=str)
def test_another_python_or_platform_than_the_host_s_is_refused_with_what_to_write(
    provided: Provided, wanted: tuple[str, str]
) -> None:
    refused = provide(LayerStore(provided.folder / "cache"), provided.registry, *wanted)
    assert isinstance(refused, Refused)
    assert "name an image that has it" in refused.reason


def test_a_standard_library_that_does_not_compile_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def (:\n")
    file = HostFile("opt/python/lib/broken.py", broken, executable=False)
    monkeypatch.setattr(host_base, "host_files", lambda: (file,))
    with pytest.raises(ConfigurationError, match="does not compile"):
        provide(LayerStore(tmp_path / "cache"), LayoutRegistry(tmp_path / "images"))


def test_debian_s_python_runs_too(tmp_path: Path) -> None:
    other = Path("/usr/bin/python3")
    if not other.exists() or other.resolve() == Path(sys.executable).resolve():
        pytest.skip("this machine has no second Python in /usr/bin")
    version = subprocess.run(
        [other, "-c", "import sys; print(sys.version_info >= (3, 11))"],
        capture_output=True,
        text=True,
        check=True,
    )
    if version.stdout != "True\n":
        pytest.skip("Laurel needs Python 3.11 or later")
    ran = subprocess.run(
        [other, "-c", MAKE],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    inside = subprocess.run(
        ["unshare", "-r", "chroot", "root", "/opt/python/bin/python3", "-c", ASK],  # noqa: S607 - util-linux
        cwd=tmp_path,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": "/opt/python/lib"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare failed" in inside.stderr:
        pytest.skip("needs user namespaces, which this machine denies")
    assert json.loads(inside.stdout)["source"].startswith("/opt/python/")


def test_a_host_without_ldd_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ConfigurationError, match="needs ldd"):
        host_libraries.loadable([Path(sys.executable)])


def test_a_host_without_the_libraries_of_wheels_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_libraries, "_ALWAYS", ("libnowhere.so.1", "libgcc_s.so.1"))
    with pytest.raises(ConfigurationError, match=r"lacks libnowhere\.so\.1 "):
        host_libraries.wheel_libraries([])


def test_what_lacks_a_library_here_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ldd = tmp_path / "ldd"
    ldd.write_text(
        "#!/bin/sh\n"
        "printf '/dev/null:\\n/a:\\n\\tlibx.so => not found\\n/b:\\n\\tstatically linked\\n'\n"
        "printf '/c:\\n\\tlinux-vdso.so.1 (0x00007ff)\\n\\tlibc.so => /x/../lib/libc.so (0x0)\\n'\n"
    )
    ldd.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    found = host_libraries.loadable([Path("/a"), Path("/b"), Path("/c"), Path("/d")])
    assert found == {Path("/b"): frozenset(), Path("/c"): frozenset({Path("/lib/libc.so")})}
    assert host_libraries.loadable([]) == {}
