from pathlib import Path

import pytest

from pipeline.domain.plan import EnvVar
from pipeline.domain.references import Digest
from pipeline.errors import ConfigurationError, PermanentError
from pipeline.image.config import ImageConfig
from pipeline.local.rootfs import Rootfs
from pipeline.local.server import plain_env, server_command

ENV = {"PYTHONPATH": "/opt/laurel/env:/opt/more", "HOME": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108 - the image's
ENTRYPOINT = ("/opt/python/bin/python3", "-B", "/opt/laurel/serve")


def rootfs(entrypoint: tuple[str, ...] = ENTRYPOINT) -> Rootfs:
    config = ImageConfig("amd64", entrypoint, ENV, (Digest.of(b""),))
    return Rootfs(Path("/cache/tree"), config)


def test_in_a_sandbox_the_image_s_paths_hold() -> None:
    command = server_command(rootfs(), {"REGION": "eu"}, Path("/log"), isolated=True)
    assert command.root == Path("/cache/tree")
    assert command.argv == ENTRYPOINT
    assert command.env == {**ENV, "REGION": "eu", "LAUREL_LISTEN_FD": "3"}
    assert command.confined


def test_without_one_they_are_found_in_the_tree() -> None:
    command = server_command(rootfs(), {}, Path("/log"), isolated=False)
    assert command.root is None
    assert command.argv == (
        "/cache/tree/opt/python/bin/python3",
        "-B",
        "/cache/tree/opt/laurel/serve",
    )
    assert command.env["PYTHONPATH"] == "/cache/tree/opt/laurel/env:/cache/tree/opt/more"
    assert command.env["LAUREL_ROOT"] == "/cache/tree"


def test_the_listener_cannot_be_renamed_by_settings() -> None:
    command = server_command(rootfs(), {"LAUREL_LISTEN_FD": "9"}, Path("/log"), isolated=True)
    assert command.env["LAUREL_LISTEN_FD"] == "3"


def test_an_image_without_entrypoint_is_told() -> None:
    with pytest.raises(PermanentError, match="Entrypoint"):
        server_command(rootfs(()), {}, Path("/log"), isolated=True)


def test_variables_are_read_and_secrets_refused() -> None:
    assert plain_env("fraud", (EnvVar("A", "1"), EnvVar("B"))) == {"A": "1", "B": ""}
    with pytest.raises(ConfigurationError, match=r"fraud.*API_KEY"):
        plain_env("fraud", (EnvVar("API_KEY", secret_name="s", secret_key="k"),))
