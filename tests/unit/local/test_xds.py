from pathlib import Path

from pipeline.local import xds

TRAFFIC = {"fraud": {"fraud-00001": 90, "fraud-00002": 10}, "churn": {"churn-00001": 100}}


def dump(traffic: xds.Traffic) -> dict[str, object]:
    configuration = xds.routes(traffic)["resources"][0]
    return {"configs": [{"route_config": configuration}]}


def test_routes_read_back_as_the_traffic_they_say() -> None:
    assert xds.traffic_in(dump(TRAFFIC)) == TRAFFIC


def test_a_service_without_traffic_has_no_route() -> None:
    assert xds.traffic_in(dump({"fraud": {}})) == {}
    assert xds.traffic_in({}) == {}


def test_the_host_names_the_service_and_the_answer_its_revision() -> None:
    (churn, _) = xds.routes(TRAFFIC)["resources"][0]["virtual_hosts"]
    assert churn["domains"] == ["churn"]
    (share,) = churn["routes"][0]["route"]["weighted_clusters"]["clusters"]
    assert share["name"] == "local/churn-00001"
    header = share["response_headers_to_add"][0]["header"]
    assert header == {"key": "x-laurel-revision", "value": "churn-00001"}


def test_nothing_is_tried_twice() -> None:
    for host in xds.routes(TRAFFIC)["resources"][0]["virtual_hosts"]:
        assert "retry_policy" not in host
        assert "retry_policy" not in host["routes"][0]["route"]


def test_a_cluster_is_a_revision_s_socket() -> None:
    (cluster,) = xds.clusters({"fraud-00001": "sockets/fraud-00001.sock"})["resources"]
    assert cluster["name"] == "local/fraud-00001"
    endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert endpoint["address"]["pipe"]["path"] == "sockets/fraud-00001.sock"


def test_two_envoys_never_share_a_port() -> None:
    said = xds.bootstrap(host="127.0.0.1", port=8081, folder=Path("x"), admin="admin.sock")
    (listener,) = said["static_resources"]["listeners"]
    assert listener["enable_reuse_port"] is False
