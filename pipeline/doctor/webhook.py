"""MLflow's webhook, end to end, by MLflow's own test call; and what MLflow's owner must have set.

A server tells nobody its settings, so each is known by what it does: an address it refuses, a list
it cannot read. Where no webhook leads here, one that is switched off is made, tried and removed.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import TypeVar

from pipeline.doctor.finding import Finding, bad, ok, warn
from pipeline.domain.webhook import Tried, Webhook, leading_to
from pipeline.errors import (
    ForbiddenError,
    LaurelError,
    NotFoundError,
    RejectedError,
    UnavailableError,
)
from pipeline.ports import Webhooks

CHECK = "webhook"
_PROBE = "laurel-doctor"
_LOOKS = 12  # each over a connection of its own, so that every worker of MLflow's is asked
_INSTALL = "laurel webhook install"
_KEY = (
    "start MLflow with MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY, a Fernet key, the same at every start "
    "and for every worker; secrets written under another one cannot be read again: in its "
    "database UPDATE webhooks SET secret = NULL; then laurel webhook install"
)
_SETTINGS = {
    "URL scheme": "start MLflow with MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https; or let webhook.url "
    "be an https address with a public certificate",
    "non-public": "start MLflow with MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true",
    "not a public IP": "start MLflow with MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true",
    "CERTIFICATE_VERIFY_FAILED": "give the receiver a certificate of a public authority: MLflow "
    "believes no other; or plain http with MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https",
}
"""What to set, by words of MLflow's."""
T = TypeVar("T")


def examine(open_: Callable[[], Webhooks], url: str, secret: str) -> Iterator[Finding]:
    """Look at the webhook that leads to ``url``; ``open_`` makes new connections to MLflow."""
    webhooks = open_()
    try:
        listed = webhooks.list()
    except NotFoundError as error:
        fix = "upgrade MLflow, with a database behind it; until then polling finds every move"
        yield warn(CHECK, error.hint, fix)
        return
    except ForbiddenError as error:
        yield warn(CHECK, "Laurel's MLflow account may not look at webhooks", error.hint)
        return
    except UnavailableError:
        yield bad(CHECK, "MLflow cannot read the secrets of its webhooks", _KEY)
        return
    ours = leading_to(url, listed)
    if ours:
        yield from _of_ours(ours, open_, webhooks)
    else:
        yield from _of_none(open_, webhooks, url, secret)


def _of_ours(
    ours: list[Webhook], open_: Callable[[], Webhooks], webhooks: Webhooks
) -> Iterator[Finding]:
    first = ours[0]
    if forgetful := _forgetful(open_):
        yield forgetful
        return
    if len(ours) > 1:
        yield warn(CHECK, f"{len(ours)} webhooks lead here: everything comes twice", _INSTALL)
    if not first.active:
        yield bad(CHECK, "the webhook that leads here is disabled", _INSTALL)
    elif not first.complete:
        said = ", ".join(first.events) or "nothing"
        yield bad(CHECK, f"the webhook that leads here tells of {said}", _INSTALL)
    yield _tried(webhooks.test(first), first.url)


def _of_none(
    open_: Callable[[], Webhooks], webhooks: Webhooks, url: str, secret: str
) -> Iterator[Finding]:
    """Make a webhook that never fires, to see what MLflow makes of its address."""
    try:
        probe = webhooks.create(_PROBE, url, secret, active=False)
    except RejectedError as error:
        yield bad(CHECK, f"MLflow takes no webhook to {url}: {error.hint}", _setting(error.hint))
        return
    try:
        forgetful = _forgetful(open_)
        if forgetful is None:
            yield _tried(webhooks.test(probe), url)
    finally:
        _removed(probe, open_)
    yield forgetful or warn(
        CHECK, f"no webhook leads to {url}: moves of an alias are found by polling", _INSTALL
    )


def _forgetful(open_: Callable[[], Webhooks]) -> Finding | None:
    """Tell whether some of MLflow's workers cannot read what others wrote."""
    failed = sum(_fails(open_) for _ in range(_LOOKS))
    if not failed:
        return None
    what = f"MLflow cannot read the secrets of its webhooks {failed} of {_LOOKS} times: its workers"
    return bad(CHECK, f"{what} each have an encryption key of their own", _KEY)


def _fails(open_: Callable[[], Webhooks]) -> bool:
    try:
        open_().list()
    except UnavailableError:
        return True
    return False


def _removed(probe: Webhook, open_: Callable[[], Webhooks]) -> None:
    """Remove the probe; where workers have keys of their own, only the one that made it can."""
    for _ in range(_LOOKS * 4):
        with suppress(LaurelError):
            open_().delete(probe)
            return


def _tried(tried: Tried, url: str) -> Finding:
    if tried.taken:
        return ok(CHECK, "MLflow's test call arrived and was believed")
    if tried.status is None:
        fix = _setting(tried.why) or (
            f"start `laurel up`, and let {url} be reachable from MLflow's machine (webhook.url)"
        )
        return bad(CHECK, f"MLflow's test call did not arrive: {tried.why[-300:]}", fix)
    if "clock" in tried.body:
        fix = "let MLflow's machine and this one keep time (timedatectl set-ntp true)"
        return bad(CHECK, "MLflow's test call was refused for its age", fix)
    if tried.status == HTTPStatus.UNAUTHORIZED:
        return bad(CHECK, "the webhook in MLflow has another secret than Laurel", _INSTALL)
    what = f"what answers at {url} is not Laurel's receiver (it says {tried.status})"
    return bad(CHECK, what, "mend webhook.url, or server.allowed_hosts where it names this host")


def _setting(said: str) -> str:
    return next((fix for words, fix in _SETTINGS.items() if words in said), "")
