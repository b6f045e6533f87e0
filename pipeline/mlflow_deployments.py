"""The target ``laurel`` of ``mlflow deployments``: MLflow's words for what Laurel's API does.

``laurel:URL``, or ``laurel`` for the server of $LAUREL_SERVER or ./laurel.yaml; $LAUREL_TOKEN. A
deployment is a service of laurel.yaml. ``create`` and ``update`` promote models:/NAME/VERSION or
models:/NAME@ALIAS and wait for the end, ``-C reason=TEXT`` stands in the history; ``get`` and
``list`` tell what serves, and where requests go.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mlflow.deployments import BaseDeploymentClient
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes

from pipeline.cli.asked import Asked
from pipeline.cli.client import Client
from pipeline.cli.decide import what
from pipeline.cli.follow import follow
from pipeline.domain.evidence import Refused
from pipeline.errors import InvalidReferenceError, LaurelError

_FLAVOR = "python_function"
_MODELS = "models:/"
_Json = dict[str, Any]
_Text = str | None
_Config = dict[str, str] | None


def target_help() -> str:
    """Say what ``mlflow deployments help -t laurel`` prints."""
    return str(__doc__)


def run_local(*_args: object, **_said: object) -> None:
    """Refuse: nothing is deployed past Laurel's rules, on no machine."""
    raise _no("Laurel deploys by its server alone: `laurel demo` shows it on this machine")


class LaurelDeployments(BaseDeploymentClient):
    """One Laurel, as MLflow's clients ask it."""

    def create_deployment(
        self,
        name: str,
        model_uri: str,
        flavor: _Text = None,
        config: _Config = None,
        endpoint: _Text = None,
    ) -> _Json:
        """Promote the first version of a service."""
        serving = self.get_deployment(name, endpoint)["stable"]
        if serving is not None:
            why = f"{name} serves {serving['image']} already: update it"
            raise MlflowException(why, codes.RESOURCE_ALREADY_EXISTS)
        return self.update_deployment(name, model_uri, flavor, config, endpoint)

    def update_deployment(
        self,
        name: str,
        model_uri: _Text = None,
        flavor: _Text = None,
        config: _Config = None,
        endpoint: _Text = None,
    ) -> _Json:
        """Promote a version: image, signature, canary; one that fails raises with its reason."""
        if unknown := set(config or {}) - {"reason"}:
            raise _no(f"{', '.join(sorted(unknown))} is not known: laurel.yaml has the settings")
        if flavor not in {None, _FLAVOR}:
            raise _no(f"Laurel serves {_FLAVOR}, within which {flavor} is: leave the flavor out")
        if model_uri is None or not model_uri.startswith(_MODELS):
            raise _no("name a registered version: models:/NAME/VERSION or models:/NAME@ALIAS")
        body = {"service": name, "reason": (config or {}).get("reason", "")}
        promoted = partial(_promoted, model_uri.removeprefix(_MODELS), body)
        return _told(self._asked(promoted, endpoint))

    def delete_deployment(self, name: str, config: object = None, endpoint: object = None) -> None:
        """Refuse: a service is taken out of laurel.yaml, by whoever owns that file."""
        del config, endpoint
        raise _no(f"take {name} out of laurel.yaml; `laurel rollback {name}` undoes a promotion")

    def list_deployments(self, endpoint: _Text = None) -> list[_Json]:
        """List every service, with what serves."""
        services = self._asked(lambda client: client.read("services"), endpoint)["items"]
        return [_told(each) for each in services]

    def get_deployment(self, name: str, endpoint: _Text = None) -> _Json:
        """Show a service as Laurel's API does."""
        return _told(self._asked(lambda client: client.read("services", name), endpoint))

    def predict(
        self, deployment_name: str = "", inputs: object = None, endpoint: _Text = None
    ) -> _Json:
        """Refuse, with where requests go: Laurel is never in their way."""
        del inputs
        url = self.get_deployment(deployment_name, endpoint)["url"]
        where = f"POST to {url}/invocations" if url else "it has no address yet"
        raise _no(f"requests go to {deployment_name} itself, never through Laurel: {where}")

    def _asked(self, question: Callable[[Client], Any], endpoint: _Text) -> Any:  # noqa: ANN401 - JSON
        if endpoint is not None:
            raise _no("Laurel has no endpoints: name a service alone")
        server = self.target_uri.partition(":")[2] or os.environ.get("LAUREL_SERVER")
        settings = Path(os.environ.get("LAUREL_CONFIG", "laurel.yaml"))
        try:
            with Asked(settings, server, json=True).client() as client:
                return question(client)
        except InvalidReferenceError as error:
            raise _no(str(error)) from error
        except LaurelError as error:
            raise MlflowException(str(error)) from error


def _promoted(version: str, body: _Json, client: Client) -> _Json:
    answer = client.change("POST", "promotions", body=what(version) | body)
    if isinstance(answer, Refused):
        raise MlflowException(answer.reason, codes.RESOURCE_CONFLICT)
    (promotion,) = answer["items"]
    ended = follow(client, promotion["id"])
    if ended["phase"] != "succeeded":
        raise MlflowException(f"{body['service']}: {ended['phase']}: {ended['reason']}")
    return ended | {"name": body["service"]}


def _told(answer: _Json) -> _Json:
    return answer | {"flavor": _FLAVOR}


def _no(why: str) -> MlflowException:
    return MlflowException(why, codes.INVALID_PARAMETER_VALUE)
