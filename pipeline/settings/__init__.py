"""laurel.yaml and the environment, read once into frozen values (interfaces §4).

Secrets come only from ``LAUREL_*`` variables or from files named by ``*_file``; they are
``SecretStr``, so that no repr, log or error shows them. Nothing here touches a neighbour.
"""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, model_validator

from pipeline.domain.plan import Plan
from pipeline.settings.fields import Section
from pipeline.settings.sections import (
    MetricsSettings,
    MlflowSettings,
    ServerSettings,
    ServingSettings,
    SigningSettings,
    WebhookSettings,
    WorkerSettings,
)
from pipeline.settings.services import ServiceSettings

__all__ = ["ServiceSettings", "Settings"]


def _short(key: str) -> BeforeValidator:
    """Let ``serving: local`` stand for ``serving: {target: local}``."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


def _sqlite_from_folder(url: str, info: ValidationInfo) -> str:
    return _from_folder(url, "sqlite:///", info)


def _layout_from_folder(url: str, info: ValidationInfo) -> str:
    return _from_folder(url, "oci-layout:", info)


def _from_folder(url: str, scheme: str, info: ValidationInfo) -> str:
    folder = (info.context or {}).get("folder")
    if folder is None or not url.startswith(scheme):
        return url
    return scheme + os.path.normpath(Path(folder) / url.removeprefix(scheme))


class Settings(Section):
    """Everything that laurel.yaml says. Relative paths are from the file's own folder."""

    mlflow: MlflowSettings = MlflowSettings()
    """Where model versions come from."""
    webhook: WebhookSettings = WebhookSettings()
    """How deliveries are authenticated."""
    ledger: Annotated[str, AfterValidator(_sqlite_from_folder)] = "sqlite:///laurel.db"
    """The record."""
    registry: Annotated[str, AfterValidator(_layout_from_folder)] = "oci-layout:./images"
    """Where images go."""
    signing: SigningSettings = SigningSettings()
    """The key that images are signed with."""
    serving: Annotated[ServingSettings, _short("target")] = ServingSettings()
    """What images are deployed to."""
    metrics: Annotated[MetricsSettings, _short("source")] = MetricsSettings()
    """Where the analysis reads request counts."""
    server: ServerSettings = ServerSettings()
    """The HTTP face."""
    worker: WorkerSettings = WorkerSettings()
    """How promotions are carried out."""
    services: tuple[ServiceSettings, ...] = ()
    """What is promoted where."""

    @model_validator(mode="after")
    def _named_once(self) -> "Settings":
        names = [service.name for service in self.services]
        if len(set(names)) != len(names):
            raise ValueError("services: each name may stand once")
        return self

    def plans(self) -> dict[str, Plan]:
        """Write the services as values, by name."""
        return {service.name: service.plan(self.mlflow.workspace) for service in self.services}
