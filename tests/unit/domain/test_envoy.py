import re

from pipeline.domain.envoy import statistics_filter


def test_statistics_are_asked_of_these_clusters_only() -> None:
    chosen = re.compile(statistics_filter({"local/fraud-00001", "local/fraud-00002"}))
    assert chosen.search("cluster.local/fraud-00002.upstream_rq_5xx")
    assert chosen.search("cluster.local/fraud-00001.upstream_rq_total")
    assert not chosen.search("cluster.local/fraud-000021.upstream_rq_5xx")
    assert not chosen.search("cluster.local/my-fraud-00001.upstream_rq_5xx")
    assert not chosen.search("cluster.local/fraud-00001.external.upstream_rq_5xx")


def test_the_semicolon_after_istios_cluster_names_is_expected() -> None:
    chosen = re.compile(statistics_filter([r"outbound\|80\|\|fraud-00001\.ml\.svc"]))
    assert chosen.search("cluster.outbound|80||fraud-00001.ml.svc;.upstream_rq_completed")
