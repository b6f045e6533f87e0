"""MLflow's model registry over REST (``ports.ModelRegistry``)."""

from typing import Any

from pipeline.adapters.mlflow_rest import MlflowRest, Rejection, accepted
from pipeline.domain.references import Alias, ModelVersion, parse_version
from pipeline.domain.registry import RegisteredVersion

_API = "/api/2.0/mlflow"
_PAGE = "1000"


class MlflowRegistry:
    """Registered models, their aliases, versions and tags on one MLflow server."""

    def __init__(self, rest: MlflowRest) -> None:
        self._rest = rest

    def alias(self, alias: Alias) -> int | None:
        """Read the version that an alias names now; ``None`` without such an alias or model."""
        attempted, subject = "read the alias", str(alias)
        answer = self._rest.get(
            f"{_API}/registered-models/alias",
            {"name": alias.model, "alias": alias.name},
            alias.workspace,
            attempted=attempted,
            subject=subject,
        )
        if _names_nothing(answer):
            return None
        found = accepted(answer, attempted=attempted, subject=subject)
        return parse_version(found["model_version"]["version"])

    def aliases(self, workspace: str) -> dict[tuple[str, str], int]:
        """Read every alias of every model, page by page.

        ``model-versions/search`` does not list aliases (mlflow#16734); this call does.
        """
        found: dict[tuple[str, str], int] = {}
        token = ""
        while True:
            page = self._page(workspace, token)
            for model in page.get("registered_models", []):
                for alias in model.get("aliases", []):
                    found[model["name"], alias["alias"]] = parse_version(alias["version"])
            token = page.get("next_page_token", "")
            if not token:
                return found

    def version(self, model: ModelVersion) -> RegisteredVersion:
        """Read one version and where its files lie; ``NotFoundError`` where it was deleted."""
        told = self._model_version("get", model)["model_version"]
        stored = self._model_version("get-download-uri", model)
        return RegisteredVersion(
            model=model,
            run_id=told.get("run_id") or None,
            model_id=told.get("model_id") or _model_id(told.get("source", "")),
            source=told.get("source", ""),
            artifact_uri=stored["artifact_uri"],
            tags=_tags(told),
        )

    def metrics(self, run_id: str, workspace: str) -> dict[str, float]:
        """Read the latest value of each metric of a run, NaN and infinity among them."""
        attempted, subject = "read the metrics", f"run {run_id}"
        answer = self._rest.get(
            f"{_API}/runs/get", {"run_id": run_id}, workspace, attempted=attempted, subject=subject
        )
        run = accepted(answer, attempted=attempted, subject=subject)["run"]
        # one that is zero has no `value`: protobuf leaves out what is a field's default
        logged = run.get("data", {}).get("metrics", [])
        return {each["key"]: float(each.get("value", 0.0)) for each in logged}

    def set_alias(self, alias: Alias, version: int) -> None:
        """Move an alias to a version; ``NotFoundError`` where that was deleted."""
        attempted, subject = "move the alias", f"{alias} to version {version}"
        body = {"name": alias.model, "alias": alias.name, "version": str(version)}
        answer = self._rest.post(
            f"{_API}/registered-models/alias",
            body,
            alias.workspace,
            attempted=attempted,
            subject=subject,
        )
        accepted(answer, attempted=attempted, subject=subject)

    def set_tags(self, model: ModelVersion, tags: dict[str, str]) -> None:
        """Write the tags that differ: each write is an event for everyone who subscribed."""
        present = _tags(self._model_version("get", model)["model_version"])
        attempted, subject = "write tags", str(model)
        for key, value in tags.items():
            if present.get(key) != value:
                answer = self._rest.post(
                    f"{_API}/model-versions/set-tag",
                    {
                        "name": model.name,
                        "version": str(model.version),
                        "key": key,
                        "value": value,
                    },
                    model.workspace,
                    attempted=attempted,
                    subject=subject,
                )
                accepted(answer, attempted=attempted, subject=subject)

    def _page(self, workspace: str, token: str) -> dict[str, Any]:
        attempted, subject = "list the aliases", f"workspace {workspace or 'default'}"
        query = {"max_results": _PAGE} | ({"page_token": token} if token else {})
        answer = self._rest.get(
            f"{_API}/registered-models/search",
            query,
            workspace,
            attempted=attempted,
            subject=subject,
        )
        return accepted(answer, attempted=attempted, subject=subject)

    def _model_version(self, call: str, model: ModelVersion) -> dict[str, Any]:
        attempted, subject = "read the model version", str(model)
        answer = self._rest.get(
            f"{_API}/model-versions/{call}",
            {"name": model.name, "version": str(model.version)},
            model.workspace,
            attempted=attempted,
            subject=subject,
        )
        return accepted(answer, attempted=attempted, subject=subject)


def _names_nothing(answer: dict[str, Any] | Rejection) -> bool:
    """Whether MLflow says that the alias (400) or its model (404) does not exist."""
    return isinstance(answer, Rejection) and (answer.status, answer.code) in {
        (400, "INVALID_PARAMETER_VALUE"),
        (404, "RESOURCE_DOES_NOT_EXIST"),
    }


def _model_id(source: str) -> str | None:
    """Read the logged model's id from the source; MLflow 3.17 leaves ``model_id`` empty."""
    kind, _, name = source.partition("models:/")
    return name if not kind and name.startswith("m-") else None


def _tags(version: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in version.get("tags", [])}
