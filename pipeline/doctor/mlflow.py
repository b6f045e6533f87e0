"""MLflow answers, is new enough, and has the aliases that are watched."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress

from pipeline.doctor.finding import Finding, ok, warn
from pipeline.domain.plan import Plan
from pipeline.domain.references import Alias
from pipeline.errors import ForbiddenError
from pipeline.ports import ModelRegistry, RegistryServer

CHECK = "mlflow"
_OLDEST, _WITH_WEBHOOKS = (3, 0), (3, 3)
_NUMBERS = re.compile(r"(\d+)\.(\d+)")


def examine(
    server: RegistryServer, models: ModelRegistry, plans: Iterable[Plan]
) -> Iterator[Finding]:
    """Read the server's version, and where each watched alias points."""
    version = server.version()
    found = _NUMBERS.match(version or "")
    numbers = (int(found[1]), int(found[2])) if found else None
    maps: dict[str, dict[tuple[str, str], int]] = {}
    watched = list(plans)
    for workspace in sorted({plan.workspace for plan in watched}) or [""]:
        maps[workspace] = models.aliases(workspace)
    if numbers is None:
        yield warn(CHECK, "MLflow answers, and does not say its version", "let /version through")
    elif numbers < _OLDEST:
        yield warn(CHECK, f"MLflow is {version}", "upgrade it: Laurel is tested with 3.3 and later")
    elif numbers < _WITH_WEBHOOKS:
        yield warn(
            CHECK,
            f"MLflow is {version}, which has no webhooks: aliases are found by polling",
            "upgrade it to 3.3 or later",
        )
    else:
        yield ok(CHECK, f"MLflow {version} answers")
    for plan in watched:
        with suppress(ForbiddenError):  # which the look at rights tells
            yield _alias(plan, maps[plan.workspace], models)


def _alias(plan: Plan, known: dict[tuple[str, str], int], models: ModelRegistry) -> Finding:
    alias = Alias(plan.model, plan.alias, plan.workspace)
    check = f"alias {plan.service}"
    version = known.get((plan.model, plan.alias)) or models.alias(alias)
    if version is not None:
        return ok(check, f"{alias} names version {version}")
    near = [name for model, name in known if model == plan.model]
    alike = [name for name in near if name.lower() == plan.alias.lower()]
    if alike:
        return warn(
            check,
            f"{plan.model} has @{alike[0]}, and {plan.service} watches @{plan.alias}",
            f"capitals count: write alias: {alike[0]}, or set @{plan.alias} in MLflow",
        )
    return warn(
        check,
        f"no version of {plan.model} has the alias {plan.alias}",
        f"set it in MLflow when a version is to be served, or mend services.{plan.service}.model",
    )
