"""A worker killed with the real MLServer environment: in the build, the smoke test, the canary."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.domain.promotion import Phase
from tests.acceptance.conftest import REAL
from tests.servers.laurel import SERVICE, Laurel, install, one_at_a_time
from tests.servers.mlflow import FIXTURES, MlflowServer

pytestmark = pytest.mark.matrix
NAME = "real-scorer"
REQUEST = (FIXTURES / "sk-pickle" / "serving_input_example.json").read_bytes()


@pytest.fixture
def laurel(mlflow_server: MlflowServer, tmp_path: Path) -> Iterator[Laurel]:
    mlflow_server.create_model(NAME)
    folder = install(tmp_path / "laurel", mlflow_server.url, None, model=NAME, runtime="mlserver")
    laurel = Laurel(folder, REAL)
    yield laurel
    laurel.down()


def test_killed_in_build_smoke_and_canary_it_ends_with_the_front_answering(
    laurel: Laurel, mlflow_server: MlflowServer
) -> None:
    laurel.start()
    mlflow_server.register(NAME)
    mlflow_server.set_alias(NAME, "champion", 1)
    assert laurel.ended(1, seconds=300).phase is Phase.SUCCEEDED, laurel.story()
    laurel.kill()
    mlflow_server.register(NAME)
    with laurel.traffic(REQUEST, pause=0.1) as seen:
        mlflow_server.set_alias(NAME, "champion", 2)
        for point in ("step_started:build:0.2", "step_started:smoke:1", "step_started:canary:0.2"):
            laurel.start(point=point)
            laurel.died()
        laurel.start()
        assert laurel.ended(2).phase is Phase.SUCCEEDED, laurel.story()
    assert {status for status, _ in seen} == {200}, seen
    promotions = laurel.promotions()
    assert len(promotions) == 2
    assert one_at_a_time(promotions)
    state = laurel.state(SERVICE)
    assert state.stable is not None
    assert (state.stable.image, state.canary) == (promotions[1].image, None)
