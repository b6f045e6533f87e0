"""From an alias that moves in MLflow to all traffic on an InferenceService, users meanwhile."""

from collections.abc import Callable

import pytest

from pipeline.domain.promotion import Phase
from tests.cluster.promotions import Promotions

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("promotion_on_the_cluster")]
Start = Callable[..., Promotions]


def test_an_alias_that_moves_becomes_all_traffic(promotions: Start) -> None:
    service = promotions()
    service.serve()
    with service.traffic() as seen:
        service.serve()
        begin = seen.wait(50)
    assert service.laurel.promotions()[-1].phase is Phase.SUCCEEDED
    assert seen.failed() == []
    assert set(seen.versions(begin)) == {"2"}
