"""Knative's services and routes, and the gateway behind them.

After pkg/reconciler/{service,route,labeler} of Knative Serving v0.48, with Kourier and Envoy as the
one who programs and is programmed.
"""

import copy

from tests.fakes.knative_conditions import Conditions
from tests.fakes.knative_revisions import is_ready
from tests.fakes.knative_world import Ingress, World, reference
from tests.fakes.kubernetes_status import CONFIGURATION, REVISION, ROUTE, SERVICE, Json

_SERVICE = ("ConfigurationsReady", "RoutesReady")
_ROUTE = ("AllTrafficAssigned", "CertificateProvisioned", "IngressReady")
_STATE = "serving.knative.dev/routingState"
_ROUTES = "serving.knative.dev/routes"


def reconcile_service(world: World, service: Json) -> None:
    """Pass the template on to a configuration and the traffic to a route; gather how they fare.

    The route does not wait for the configuration: that is what trap 7 lives from.
    """
    status = service.setdefault("status", {})
    conditions = Conditions(status, _SERVICE, world.store.stamp)
    conditions.initialize()
    configuration = _configuration(world, service)
    seen = configuration.get("status", {})
    if configuration["metadata"]["generation"] != seen.get("observedGeneration"):
        conditions.unknown(
            "ConfigurationsReady",
            "OutOfDate",
            "The Configuration is still working to reflect the latest desired specification.",
        )
    else:
        names = ("latestCreatedRevisionName", "latestReadyRevisionName")
        status |= {key: seen[key] for key in names if key in seen}
        told = Conditions(seen, (), world.store.stamp)
        conditions.copy("ConfigurationsReady", told.get("Ready"))
    route = _route(world, service)
    _propagate_route(world, conditions, route)
    if conditions.is_("RoutesReady", "True") and not _migrated(route, seen):
        conditions.unknown(
            "RoutesReady",
            "TrafficNotMigrated",
            "Traffic is not yet migrated to the latest revision.",
        )
    status["observedGeneration"] = service["metadata"]["generation"]
    world.store.set_status(SERVICE, service)


def _configuration(world: World, service: Json) -> Json:
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    wanted = {"template": service["spec"]["template"]}
    found = world.store.find(CONFIGURATION, namespace, name)
    if found is None:
        return world.store.create(CONFIGURATION, _owned(service, wanted))
    return world.store.update(CONFIGURATION, {**found, "spec": wanted})


def _route(world: World, service: Json) -> Json:
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    traffic = [
        {"configurationName": name, **target} if target["latestRevision"] else target
        for target in service["spec"]["traffic"]
    ]
    found = world.store.find(ROUTE, namespace, name)
    if found is None:
        return world.store.create(ROUTE, _owned(service, {"traffic": traffic}))
    return world.store.update(ROUTE, {**found, "spec": {"traffic": traffic}})


def _owned(service: Json, spec: Json) -> Json:
    metadata = service["metadata"]
    labels = {**metadata.get("labels", {}), "serving.knative.dev/service": metadata["name"]}
    made = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "labels": labels,
        "ownerReferences": [reference(service)],
    }
    return {"metadata": made, "spec": copy.deepcopy(spec)}


def _propagate_route(world: World, conditions: Conditions, route: Json) -> None:
    seen = route.get("status", {})
    if route["metadata"]["generation"] != seen.get("observedGeneration"):
        conditions.unknown(
            "RoutesReady",
            "OutOfDate",
            "The Route is still working to reflect the latest desired specification.",
        )
        return
    for key in ("traffic", "url", "address"):
        if key in seen:
            conditions.status[key] = seen[key]
    conditions.copy("RoutesReady", Conditions(seen, (), world.store.stamp).get("Ready"))


def _migrated(route: Json, configuration: Json) -> bool:
    wanted = [
        (
            target.get("revisionName") or configuration.get("latestReadyRevisionName"),
            target["percent"],
            target.get("tag"),
        )
        for target in route["spec"]["traffic"]
    ]
    got = route.get("status", {}).get("traffic", [])
    return wanted == [(one["revisionName"], one["percent"], one.get("tag")) for one in got]


def reconcile_route(world: World, route: Json) -> None:
    """Work out who gets what, if everybody named can serve; else change nothing at all (trap 4)."""
    metadata = route["metadata"]
    status = route.setdefault("status", {})
    conditions = Conditions(status, _ROUTE, world.store.stamp)
    conditions.initialize()
    if metadata["generation"] != status.get("observedGeneration"):
        conditions.unknown(
            "IngressReady", "IngressNotConfigured", "Ingress has not yet been reconciled."
        )
    host = f"{metadata['name']}.{metadata['namespace']}"
    status["url"] = f"http://{host}.{world.domain}"
    targets = _targets(world, route, conditions)
    if targets is not None:
        status["traffic"] = [_told(world, route, target) for target in targets]
        conditions.true("AllTrafficAssigned")
        status["address"] = {"url": f"http://{host}.svc.cluster.local"}
        conditions.true(
            "CertificateProvisioned", "TLSNotEnabled", "external-domain-tls is not enabled"
        )
        _program(world, route, targets, conditions)
    status["observedGeneration"] = metadata["generation"]
    world.store.set_status(ROUTE, route)
    _label(world, route)


def _targets(world: World, route: Json, conditions: Conditions) -> list[Json] | None:
    metadata = route["metadata"]
    configuration = world.store.find(CONFIGURATION, metadata["namespace"], metadata["name"]) or {}
    latest = configuration.get("status", {}).get("latestReadyRevisionName")
    found = []
    bad: tuple[str, str, str] | None = None
    for target in route["spec"]["traffic"]:
        name = target.get("revisionName") or latest
        problem = _problem(world, metadata, name)
        if problem is None:
            found.append({**target, "revisionName": name})
        elif bad is None or problem[0] == "False":
            bad = problem
    if bad is None:
        return found
    mark = {"False": conditions.false, "Unknown": conditions.unknown}[bad[0]]
    mark("AllTrafficAssigned", bad[1], bad[2])
    return None


def _problem(world: World, route: Json, revision: str | None) -> tuple[str, str, str] | None:
    """Say why a revision can take no traffic: status, reason and message of the condition."""
    if revision is None:
        waits = f'Configuration "{route["name"]}" is waiting for a Revision to become ready.'
        return "Unknown", "RevisionMissing", waits
    found = world.store.find(REVISION, route["namespace"], revision)
    if found is None:
        gone = f'Revision "{revision}" referenced in traffic not found.'
        return "False", "RevisionMissing", gone
    if is_ready(found):
        return None
    told = Conditions(found.get("status", {}), (), world.store.stamp)
    if told.is_("Ready", "False"):
        return "False", "RevisionMissing", f'Revision "{revision}" failed to become ready.'
    return "Unknown", "RevisionMissing", f'Revision "{revision}" is not yet ready.'


def _told(world: World, route: Json, target: Json) -> Json:
    kept = ("latestRevision", "percent", "revisionName", "tag")
    told = {key: target[key] for key in kept if key in target}
    if "tag" in target:
        metadata = route["metadata"]
        host = f"{target['tag']}-{metadata['name']}.{metadata['namespace']}.{world.domain}"
        told["url"] = f"http://{host}"
    return told


def _program(world: World, route: Json, targets: list[Json], conditions: Conditions) -> None:
    """Ask the gateway for this traffic, and tell how far it is; shares of 0 % are left out."""
    metadata = route["metadata"]
    place = f"{metadata['name']}.{metadata['namespace']}.{world.domain}"
    shares = [(one["revisionName"], one["percent"]) for one in targets if one["percent"]]
    hosts = {place: shares}
    hosts |= {
        f"{one['tag']}-{place}": [(one["revisionName"], 100)] for one in targets if "tag" in one
    }
    ingress = world.ingresses.setdefault(metadata["uid"], Ingress())
    if ingress.hosts != hosts:
        ingress.hosts = hosts
        ingress.generation += 1
        conditions.unknown(
            "IngressReady", "IngressNotConfigured", "Ingress has not yet been reconciled."
        )
    elif ingress.programmed == ingress.generation:
        conditions.true("IngressReady")
    else:
        conditions.unknown("IngressReady", "Uninitialized", "Waiting for load balancer to be ready")


def program_gateway(world: World) -> None:
    """Let the gateway take over what routes asked for; what no route has any more goes."""
    hosts: dict[str, list[tuple[str, int]]] = {}
    for ingress in world.ingresses.values():
        ingress.programmed = ingress.generation
        hosts |= ingress.hosts
    world.gateway = hosts


def _label(world: World, route: Json) -> None:
    """Mark the revisions that a route names, or soon will, and those that it names no more."""
    metadata = route["metadata"]
    traffic = [*route["spec"]["traffic"], *route["status"].get("traffic", [])]
    named = {target.get("revisionName") for target in traffic}
    configuration = world.store.find(CONFIGURATION, metadata["namespace"], metadata["name"])
    if configuration is not None and any(target["latestRevision"] for target in traffic):
        seen = configuration.get("status", {})
        named |= {seen.get("latestCreatedRevisionName"), seen.get("latestReadyRevisionName")}
    for revision in world.store.all(
        REVISION,
        metadata["namespace"],
        labels=f"serving.knative.dev/configuration={metadata['name']}",
    ):
        labels = revision["metadata"]["labels"]
        annotations = revision["metadata"].setdefault("annotations", {})
        routed = revision["metadata"]["name"] in named
        state = "active" if routed else "reserve"
        if labels[_STATE] == state or (labels[_STATE] == "pending" and not routed):
            continue
        labels[_STATE] = state
        annotations["serving.knative.dev/routingStateModified"] = world.store.stamp()
        annotations.pop(_ROUTES, None)
        if routed:
            annotations[_ROUTES] = metadata["name"]
        world.store.update(REVISION, revision)
