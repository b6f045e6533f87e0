"""MLflow: one connection, as the settings say who is asking, and what is asked over it."""

from pipeline.adapters.mlflow_rest import Credentials, MlflowRest
from pipeline.adapters.mlflow_webhooks import MlflowWebhooks
from pipeline.domain.webhook import PATH
from pipeline.ports import Webhooks
from pipeline.settings import Settings
from pipeline.settings.secrets import revealed
from pipeline.settings.sections import ServerSettings


def connection(settings: Settings) -> MlflowRest:
    """Make the one door to MLflow's server; nothing is asked yet."""
    mlflow = settings.mlflow
    credentials = None
    if mlflow.token is not None:
        credentials = Credentials.bearer(revealed(mlflow.token))
    elif mlflow.username is not None:
        credentials = Credentials.basic(mlflow.username, revealed(mlflow.password))
    return MlflowRest(mlflow.url, credentials)


def workspaces(settings: Settings) -> tuple[str, ...]:
    """List the workspaces whose aliases are watched: each has webhooks of its own."""
    watched = {plan.workspace for plan in settings.plans().values()}
    return tuple(sorted(watched)) or (settings.mlflow.workspace,)


def build_webhooks(settings: Settings) -> dict[str, Webhooks]:
    """Make what keeps MLflow's webhooks, by workspace."""
    rest = connection(settings)
    return {workspace: MlflowWebhooks(rest, workspace) for workspace in workspaces(settings)}


def webhook_url(settings: Settings) -> str:
    """Say where MLflow reaches this Laurel's receiver."""
    return settings.webhook.url or reached(settings.server).rstrip("/") + PATH


def reached(server: ServerSettings) -> str:
    """Say where people reach this Laurel."""
    host = f"[{server.host}]" if ":" in server.host else server.host
    return server.url or f"http://{host}:{server.port}"
