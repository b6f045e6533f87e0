"""Statistics of an Envoy that was not asked for some of them only, as Istio's agent passes on."""

import pytest

from pipeline.adapters.envoy_text import Clusters, totals_in
from pipeline.domain.serving import RequestTotals

KOURIER = """\
# TYPE envoy_cluster_upstream_rq counter
envoy_cluster_upstream_rq{envoy_response_code="500",envoy_cluster_name="ml/fraud-00001"} 2
# TYPE envoy_cluster_upstream_rq_xx counter
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="ml/fraud-00001"} 5
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="ml/fraud-00001"} 2
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="ml/fraud-000010"} 9
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="ml2/fraud-00001"} 9
envoy_cluster_external_upstream_rq_completed{envoy_cluster_name="ml/fraud-00001"} 7
envoy_cluster_upstream_rq_completed{envoy_cluster_name="ml/fraud-00001"} 7
envoy_cluster_upstream_rq_total{envoy_cluster_name="ml/fraud-00001"} 8
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="ml/fraud-00001",le="0.5"} 3
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="ml/fraud-00001",le="+Inf"} 7
envoy_cluster_upstream_rq_time_sum{envoy_cluster_name="ml/fraud-00001"} 70.5
envoy_server_live{} 1
"""
HERE, ELSEWHERE = (f"outbound|80||fraud-00001.{space}.svc.cluster.local" for space in ("ml", "ml2"))
ISTIO = f"""\
# TYPE envoy_cluster_upstream_rq counter
envoy_cluster_upstream_rq{{response_code_class="5xx",cluster_name="{HERE}"}} 2
envoy_cluster_upstream_rq{{response_code="503",cluster_name="{HERE}"}} 2
envoy_cluster_upstream_rq{{response_code_class="5xx",cluster_name="{ELSEWHERE}"}} 9
envoy_cluster_upstream_rq_completed{{cluster_name="{HERE}"}} 7
istio_requests_total{{destination_service_name="fraud-00001"}} 9
"""
EXPECTED = RequestTotals(7, 2, ((0.5, 3), (float("inf"), 7)))


@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_requests_of_one_revision_are_found_among_everything_else(piece: int) -> None:
    text = KOURIER.encode()
    pieces = [text[at : at + piece] for at in range(0, len(text), piece)]
    assert totals_in(pieces, Clusters("ml", ["fraud-00001"])) == {"fraud-00001": EXPECTED}


def test_istio_says_the_same_in_other_words() -> None:
    found = totals_in([ISTIO.encode()], Clusters("ml", ["fraud-00001"]))
    assert found == {"fraud-00001": RequestTotals(7, 2)}


def test_a_revision_without_a_cluster_is_not_there() -> None:
    assert totals_in([KOURIER.encode()], Clusters("ml", ["fraud-00003"])) == {}
