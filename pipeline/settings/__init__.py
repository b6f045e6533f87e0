"""laurel.yaml and the environment, read once into frozen values (interfaces §4).

Secrets come only from ``LAUREL_*`` variables or from files named by ``*_file``; they are
``SecretStr``, so that no repr, log or error shows them. Nothing here touches a neighbour.
"""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, model_validator

from pipeline.domain.plan import Plan
from pipeline.settings.access import AuthSettings
from pipeline.settings.cluster import unfit
from pipeline.settings.fields import Section, from_folder
from pipeline.settings.notifications import NotificationSettings
from pipeline.settings.people import ApprovalSettings, FreezeSettings, LimitSettings
from pipeline.settings.rollback import RollbacksSettings
from pipeline.settings.sections import (
    HistorySettings,
    MlflowSettings,
    RegistrySettings,
    ServerSettings,
    SigningSettings,
    WebhookSettings,
    WorkerSettings,
)
from pipeline.settings.services import ServiceSettings
from pipeline.settings.serving import MetricsSettings, ServingSettings

__all__ = ["SHORT", "ServiceSettings", "Settings"]


SHORT = {"registry": "location", "serving": "target", "metrics": "source"}
"""What a section's key may be written alone for: ``serving: local``."""


def _short(section: str) -> BeforeValidator:
    key = SHORT[section]
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


def _sqlite_from_folder(url: str, info: ValidationInfo) -> str:
    return from_folder(url, "sqlite:///", info)


class Settings(Section):
    """Everything that laurel.yaml says. Relative paths are from the file's own folder."""

    mlflow: MlflowSettings = MlflowSettings()
    """Where model versions come from."""
    webhook: WebhookSettings = WebhookSettings()
    """How deliveries are authenticated."""
    rollback: RollbacksSettings = RollbacksSettings()
    """Rollbacks: who else may ask for them, and what they do beside."""
    ledger: Annotated[str, AfterValidator(_sqlite_from_folder)] = "sqlite:///laurel.db"
    """The record."""
    registry: Annotated[RegistrySettings, _short("registry")] = RegistrySettings()
    """Where images go."""
    builder: Literal["layers", "docker"] = "layers"
    """``layers``: Laurel's own, without a container engine; ``docker``: a Docker Engine."""
    signing: SigningSettings = SigningSettings()
    """The key that images are signed with."""
    serving: Annotated[ServingSettings, _short("serving")] = ServingSettings()
    """What images are deployed to."""
    metrics: Annotated[MetricsSettings, _short("metrics")] = MetricsSettings()
    """Where the analysis reads request counts."""
    server: ServerSettings = ServerSettings()
    """The HTTP face."""
    auth: AuthSettings = AuthSettings()
    """Who may call it beside the bearers of tokens that `laurel token create` makes."""
    worker: WorkerSettings = WorkerSettings()
    """How promotions are carried out."""
    history: HistorySettings = HistorySettings()
    """What is kept of what was."""
    approvals: ApprovalSettings = ApprovalSettings()
    """What an approval is worth; how many are needed, each service says."""
    freeze: tuple[FreezeSettings, ...] = ()
    """When nothing is to change by itself."""
    limits: LimitSettings = LimitSettings()
    """How many canaries may run at once."""
    notifications: tuple[NotificationSettings, ...] = ()
    """Who is told what became of promotions."""
    services: tuple[ServiceSettings, ...] = ()
    """What is promoted where."""

    @model_validator(mode="after")
    def _named_once(self) -> "Settings":
        names = [service.name for service in self.services]
        if len(set(names)) != len(names):
            raise ValueError("services: each name may stand once")
        return self

    @model_validator(mode="after")
    def _allowing_what_there_is(self) -> "Settings":
        unknown = self.auth.services() - {service.name for service in self.services}
        if unknown:
            raise ValueError(f"auth.oidc: there is no service {min(unknown)!r}")
        return self

    @model_validator(mode="after")
    def _telling_of_what_there_is(self) -> "Settings":
        names = [channel.name for channel in self.notifications]
        if len(set(names)) != len(names):
            raise ValueError("notifications: each name may stand once")
        known = {service.name for service in self.services}
        for channel in self.notifications:
            if unknown := set(channel.services) - known:
                why = f"there is no service {min(unknown)!r}"
                raise ValueError(f"notifications.{channel.name}: {why}")
        return self

    @model_validator(mode="after")
    def _freezing_what_there_is(self) -> "Settings":
        known = {service.name for service in self.services}
        for window in self.freeze:
            if unknown := set(window.services) - known:
                raise ValueError(f"freeze: there is no service {min(unknown)!r}")
        return self

    @model_validator(mode="after")
    def _fitting_the_target(self) -> "Settings":
        for why in unfit(self.serving, self.metrics, self.registry, self.services):
            raise ValueError(why)
        return self

    def plans(self) -> dict[str, Plan]:
        """Write the services as values, by name."""
        plans = [
            service.plan(self.mlflow.workspace, self.registry, self.builder)
            for service in self.services
        ]
        moves, namespace = self.rollback.move_alias, self.serving.namespace or ""
        return {
            plan.service: replace(plan, move_alias=moves, namespace=namespace) for plan in plans
        }
