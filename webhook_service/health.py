"""``/health/live``, ``/health/ready`` and ``/metrics``: for probes and scrapers, open."""

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from webhook_service.access import ReceiverParts

router = APIRouter(tags=["operation"])
_TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/health/live")
async def live() -> dict[str, str]:
    """Answer, which is all that liveness is."""
    return {"status": "live"}


@router.get("/health/ready")
def ready(receiver: ReceiverParts) -> dict[str, str]:
    """Tell whether the ledger can be written and has the schema of this code."""
    if not receiver.ledger.current():
        raise HTTPException(503, "The ledger has another schema: run `laurel migrate`.")
    with receiver.ledger.database.write():
        return {"status": "ready"}


@router.get("/metrics")
def metrics(receiver: ReceiverParts) -> PlainTextResponse:
    """Count what the ledger holds, in Prometheus' text format."""
    deliveries, promotions = receiver.ledger.deliveries, receiver.ledger.promotions
    waiting = {outcome or "waiting": count for outcome, count in deliveries.outcomes().items()}
    families = (
        _family("laurel_deliveries", "Deliveries by outcome", "outcome", waiting),
        _family("laurel_refused_deliveries", "Refused deliveries", "reason", deliveries.refused()),
        _family("laurel_promotions", "Promotions by phase", "phase", promotions.phases()),
    )
    return PlainTextResponse("".join(families), media_type=_TEXT_FORMAT)


def _family(name: str, meaning: str, label: str, values: Mapping[str, int]) -> str:
    head = f"# HELP {name} {meaning}.\n# TYPE {name} gauge\n"
    return head + "".join(
        f'{name}{{{label}="{key}"}} {count}\n' for key, count in sorted(values.items())
    )
