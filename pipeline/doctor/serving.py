"""Where images are rolled out: each service's own preflight, and its request counts."""

import socket
from collections.abc import Callable, Iterable, Iterator

from pipeline.doctor.finding import Finding, bad, ok, warn
from pipeline.domain.plan import Plan
from pipeline.errors import LaurelError, StepError
from pipeline.image.config import host_platform
from pipeline.image.version_key import platform_of
from pipeline.ports import Metrics, ServingTarget

CHECK, COUNTS = "serving", "metrics"


def examine(target: Callable[[], ServingTarget], plans: Iterable[Plan]) -> Iterator[Finding]:
    """Ask the target what it objects to, service by service, and what serves there."""
    there = target()
    for plan in plans:
        yield _of_service(plan, there)


def _of_service(plan: Plan, target: ServingTarget) -> Finding:
    check = f"{CHECK} {plan.service}"
    if objection := target.objection(plan):
        what, _, fix = objection.partition("\n")[0].rpartition(": ")
        return bad(check, what or objection, fix)
    platform, platforms = platform_of(plan), target.platforms(plan.service)
    if platform not in platforms or platform != host_platform():
        return bad(
            check,
            f"its images are for {platform}, it runs on {', '.join(sorted(platforms))}, and this "
            f"machine is {host_platform()}",
            f"set services.{plan.service}.platform, and run a worker on such a machine",
        )
    state = target.observe(plan.service)
    if state.drift:
        return warn(check, state.drift, "laurel promote puts it right; see services[].drift")
    if state.stable is None:
        return ok(check, "can be rolled out; nothing serves yet")
    return ok(check, f"serves {state.stable.image.digest.short}, and can be rolled out")


def examine_counts(metrics: Callable[[], Metrics], plans: Iterable[Plan]) -> Iterator[Finding]:
    """Read the request counts that a canary is judged by."""
    source = metrics()
    for plan in plans:
        check = f"{COUNTS} {plan.service}"
        try:
            source.read(plan.service, ())
        except StepError as error:
            yield warn(check, f"no request counts: {error.hint}", "a canary holds until they are")
        except LaurelError as error:
            yield bad(check, "no request counts", str(error))
        else:
            yield ok(check, "request counts can be read")


def examine_port(port: int, ours: Callable[[], bool]) -> Iterator[Finding]:
    """See that the local target's port is Envoy's, or nobody's."""
    if ours():
        yield ok(CHECK, f"Envoy answers at port {port}")
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            yield bad(
                CHECK,
                f"port {port} is somebody else's: {error.strerror}",
                "write another serving.port",
            )
        else:
            yield ok(CHECK, f"port {port} is free for Envoy")
