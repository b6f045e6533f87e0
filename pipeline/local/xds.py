"""Envoy's configuration as values: a cluster per revision, a virtual host per service.

Clusters are named ``local/<revision>``, as Kourier names them ``<namespace>/<revision>``, so that
one reader understands both statistics.
"""

from pathlib import Path
from typing import Any

Traffic = dict[str, dict[str, int]]
"""``{service: {revision: percent}}``."""

REVISION_HEADER = "x-laurel-revision"
_PREFIX = "local/"
_REQUEST_TIMEOUT = "60s"  # KServe's default for an InferenceService's component
_IDLE = "3s"  # below the 5 s after which uvicorn closes: a reused connection is never a closed one
_CONNECT_TIMEOUT = "5s"
_BUCKETS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750)
_SLOW_BUCKETS = (1000, 1500, 2000, 3000, 5000, 10000, 30000)


def _type(name: str) -> str:
    return f"type.googleapis.com/envoy.{name}"


def cluster_name(revision: str) -> str:
    """Name a revision's cluster."""
    return _PREFIX + revision


def revision_of(cluster: str) -> str:
    """Name the revision of a cluster."""
    return cluster.removeprefix(_PREFIX)


def bootstrap(*, host: str, port: int, folder: Path, admin: str) -> dict[str, Any]:
    """Say what never changes while Envoy runs.

    Parameters
    ----------
    host, port
        Where requests come in.
    folder
        Where ``cds.json`` and ``rds.json`` lie, to be replaced by rename.
    admin
        The admin interface's Unix socket, as Envoy's working directory sees it.

    """
    return {
        "node": {"id": "laurel", "cluster": "laurel"},
        "admin": {"address": {"pipe": {"path": admin, "mode": 0o600}}},
        "stats_flush_interval": "0.2s",  # histograms move on a flush only
        "stats_config": {
            "histogram_bucket_settings": [
                {
                    "match": {"suffix": "upstream_rq_time"},
                    "buckets": [*_BUCKETS, *_SLOW_BUCKETS],
                }
            ]
        },
        "dynamic_resources": {"cds_config": _watched(folder, "cds.json")},
        "static_resources": {"listeners": [_listener(host, port, folder)]},
    }


def clusters(sockets: dict[str, str]) -> dict[str, Any]:
    """Say where each revision listens: ``{revision: Unix socket}``."""
    return {"resources": [_cluster(name, sockets[name]) for name in sorted(sockets)]}


def routes(traffic: Traffic) -> dict[str, Any]:
    """Say which revisions answer for each service; the ``Host`` header names the service.

    No retries: a model that fails must be seen failing.
    """
    return {
        "resources": [
            {
                "@type": _type("config.route.v3.RouteConfiguration"),
                "name": "front",
                "validate_clusters": False,
                "virtual_hosts": [
                    _virtual_host(service, traffic[service])
                    for service in sorted(traffic)
                    if traffic[service]
                ],
            }
        ]
    }


def traffic_in(route_dump: dict[str, Any]) -> Traffic:
    """Read back from ``/config_dump?resource=dynamic_route_configs`` what Envoy really does."""
    configurations = [config["route_config"] for config in route_dump.get("configs", ())]
    hosts = [host for config in configurations for host in config.get("virtual_hosts", ())]
    return {host["name"]: _shares(host) for host in hosts}


def _shares(host: dict[str, Any]) -> dict[str, int]:
    weighted = host["routes"][0]["route"]["weighted_clusters"]["clusters"]
    return {share["name"].removeprefix(_PREFIX): share["weight"] for share in weighted}


def _watched(folder: Path, name: str) -> dict[str, Any]:
    source = {"path": str(folder / name), "watched_directory": {"path": str(folder)}}
    return {"path_config_source": source, "resource_api_version": "V3"}


def _listener(host: str, port: int, folder: Path) -> dict[str, Any]:
    manager = {
        "@type": _type(
            "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
        ),
        "stat_prefix": "front",
        "strip_any_host_port": True,
        "server_header_transformation": "PASS_THROUGH",
        "rds": {"route_config_name": "front", "config_source": _watched(folder, "rds.json")},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": _type("extensions.filters.http.router.v3.Router")},
            }
        ],
    }
    hcm = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    return {
        "name": "front",
        "address": {"socket_address": {"address": host, "port_value": port}},
        "enable_reuse_port": False,  # else a second Envoy would silently share the port
        "filter_chains": [{"filters": [hcm]}],
    }


def _cluster(revision: str, socket: str) -> dict[str, Any]:
    name = cluster_name(revision)
    endpoint = {"endpoint": {"address": {"pipe": {"path": socket}}}}
    return {
        "@type": _type("config.cluster.v3.Cluster"),
        "name": name,
        "type": "STATIC",
        "connect_timeout": _CONNECT_TIMEOUT,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _type("extensions.upstreams.http.v3.HttpProtocolOptions"),
                "common_http_protocol_options": {"idle_timeout": _IDLE},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def _virtual_host(service: str, shares: dict[str, int]) -> dict[str, Any]:
    weighted = [_share(revision, shares[revision]) for revision in sorted(shares)]
    route = {"weighted_clusters": {"clusters": weighted}, "timeout": _REQUEST_TIMEOUT}
    return {
        "name": service,
        "domains": [service],
        "routes": [{"match": {"prefix": "/"}, "route": route}],
    }


def _share(revision: str, percent: int) -> dict[str, Any]:
    header = {"header": {"key": REVISION_HEADER, "value": revision}}
    return {
        "name": cluster_name(revision),
        "weight": percent,
        "response_headers_to_add": [{**header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
    }
