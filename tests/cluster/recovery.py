"""Wait until a cluster whose parts were away is again what the next test takes for granted."""

from http import HTTPStatus

from pipeline.kserve.resources import INFERENCE_SERVICES, REVISIONS
from tests.cluster.conftest import own_namespace
from tests.cluster.obstacles import admits
from tests.cluster.promotions import PATIENCE
from tests.cluster.services import inference_service
from tests.cluster.stack.api import Api
from tests.servers.waiting import until

_MADE = {HTTPStatus.CREATED, HTTPStatus.CONFLICT}


def all_act_again(api: Api) -> None:
    """See webhooks answer, and controllers make of an InferenceService what they make of any."""
    with own_namespace(api, "all-act-again") as namespace:
        services, revisions = (
            f"{kind.api}/namespaces/{namespace}/{kind.plural}"
            for kind in (INFERENCE_SERVICES, REVISIONS)
        )
        one = inference_service("tried-out", "nowhere/model")
        until(lambda: admits(api, namespace), "webhooks that answer", PATIENCE)
        until(lambda: api.call("POST", services, one)[0] in _MADE, "a service", PATIENCE)
        until(lambda: api.call("GET", revisions)[1].get("items"), "its revision", PATIENCE)
