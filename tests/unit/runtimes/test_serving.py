import ast

import pytest

from pipeline.runtimes.serving import runtime_env, serve_files
from pipeline.runtimes.table import RUNTIMES


@pytest.mark.parametrize("runtime", [runtime.name for runtime in RUNTIMES])
def test_every_runtime_has_its_start_and_its_application(runtime: str) -> None:
    files = serve_files(runtime)
    assert set(files) == {
        "opt/laurel/serve",
        "opt/laurel/laurel_runtime.py",
        "opt/laurel/laurel_faults.py",
    }
    for content in files.values():
        ast.parse(content)


def test_the_start_is_the_same_for_every_runtime_and_the_application_is_not() -> None:
    mlserver, mlflow = (serve_files(runtime.name) for runtime in RUNTIMES)
    assert mlserver["opt/laurel/serve"] == mlflow["opt/laurel/serve"]
    assert mlserver["opt/laurel/laurel_runtime.py"] != mlflow["opt/laurel/laurel_runtime.py"]


def test_the_model_is_named_by_its_slug_and_the_platforms_names_are_left_alone() -> None:
    env = runtime_env("fraud-x1")
    assert env["LAUREL_MODEL_NAME"] == "fraud-x1"
    assert "PORT" not in env
    assert not [name for name in env if name.startswith("K_")]


def test_an_idle_connection_outlives_the_90_seconds_for_which_gos_clients_keep_it() -> None:
    """Who closes first loses a request that the other sends at that moment: a 502 to a user."""
    tree = ast.parse(serve_files(RUNTIMES[0].name)["opt/laurel/serve"])
    said = {
        each.targets[0].id: each.value.value
        for each in tree.body
        if isinstance(each, ast.Assign)
        and isinstance(each.targets[0], ast.Name)
        and isinstance(each.value, ast.Constant)
    }
    (idle,) = (
        each.value
        for each in ast.walk(tree)
        if isinstance(each, ast.keyword) and each.arg == "timeout_keep_alive"
    )
    assert isinstance(idle, ast.Name)
    seconds = said[idle.id]
    assert isinstance(seconds, int)
    assert seconds > 90
