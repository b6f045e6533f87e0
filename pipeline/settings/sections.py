"""The neighbours and the process: everything in laurel.yaml but the services."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo

from pipeline.domain.references import names_registry, require_repository
from pipeline.settings.fields import Bytes, LocalPath, Seconds, Section, from_folder, require_http

LAYOUT = "oci-layout:"


def _layout_from_folder(location: str, info: ValidationInfo) -> str:
    if location.startswith(LAYOUT):
        return from_folder(location, LAYOUT, info)
    if not names_registry(require_repository(location.rstrip("/")) + "/"):
        raise ValueError(f"{location!r} names no registry: write {LAYOUT}FOLDER or HOST/NAME")
    return location


class MlflowSettings(Section):
    """Where MLflow is and how it is asked."""

    url: str = "http://127.0.0.1:5000"
    """MLflow's tracking server."""
    poll: Seconds = 30.0
    """How often the reconciler reads each alias; a webhook only makes it faster."""
    username: str | None = None
    """HTTP Basic user; ``LAUREL_MLFLOW__USERNAME``."""
    password: SecretStr | None = None
    """HTTP Basic password; ``LAUREL_MLFLOW__PASSWORD``."""
    token: SecretStr | None = None
    """Bearer token; ``LAUREL_MLFLOW__TOKEN``."""
    workspace: str = ""
    """MLflow workspace; empty where workspaces are off."""


class WebhookSettings(Section):
    """How deliveries are authenticated."""

    secret_file: LocalPath | tuple[LocalPath, ...] = Path("webhook.secret")
    """File with the secret that MLflow signs with; a list while a secret is rotated, the one that
    MLflow is to sign with first."""
    url: Annotated[str, AfterValidator(require_http)] | None = None
    """Where MLflow reaches this Laurel; default: `server.url` and `/webhooks/mlflow`."""
    tolerance: Seconds = 600.0
    """How old a delivery may be: MLflow's retries reach 130 s."""

    @property
    def secret_files(self) -> tuple[Path, ...]:
        """The files as a list."""
        return self.secret_file if isinstance(self.secret_file, tuple) else (self.secret_file,)


class RegistrySettings(Section):
    """Where images go."""

    location: Annotated[str, AfterValidator(_layout_from_folder)] = "oci-layout:./images"
    """``oci-layout:FOLDER``, or a registry and what stands before each repository's name:
    ``registry.example.com/ml``. Credentials are docker's: its config.json and helpers."""
    ca_file: LocalPath | None = None
    """Certificates of a private authority, in PEM, beside those that the system trusts."""
    plain_http: tuple[str, ...] = ()
    """Hosts (``name:port``) that are spoken to without TLS; loopback always may be."""

    @property
    def folder(self) -> Path | None:
        """The image layout's folder; ``None`` for a registry."""
        return Path(self.location.removeprefix(LAYOUT)) if LAYOUT in self.location else None

    def repository(self, name: str) -> str:
        """Write a repository's whole name; one that names a registry itself is whole."""
        if self.folder is not None or names_registry(name):
            return name
        return f"{self.location.rstrip('/')}/{name}"


class SigningSettings(Section):
    """The key that images are signed with."""

    key: LocalPath = Path("laurel.key")
    """A key file in cosign's encrypted format."""
    password: SecretStr | None = None
    """Its password; ``LAUREL_SIGNING__PASSWORD``."""
    password_file: LocalPath | None = Path("laurel.key.password")
    """A file that holds the password, where the variable is not set."""
    builder: str = "https://laurel.dev/builder/local"
    """Name of this deployment in provenance: one per trust boundary."""


class ServerSettings(Section):
    """The HTTP face."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on."""
    url: Annotated[str, AfterValidator(require_http)] | None = None
    """Where people reach it, in links that others are sent; default: `http://HOST:PORT`."""
    allowed_hosts: tuple[str, ...] = ()
    """Further Host headers to accept beside the address itself."""
    token_file: LocalPath = Path("laurel.token")
    """The operator's token, made on first start, 0600."""


class WorkerSettings(Section):
    """How promotions are carried out."""

    heavy: int = Field(default=2, ge=1)
    """How many locks, builds and smoke runs may go on at once."""
    engine: LocalPath = Path("laurel-engine.db")
    """The durable engine's checkpoints; may be deleted, the ledger may not."""
    cache: LocalPath | None = None
    """Layers and unpacked images shared by all ledgers; default ``$XDG_CACHE_HOME/laurel``."""
    poll: Seconds = 0.25
    """How often the ledger and the engine's queue are looked at."""
    cache_limit: Bytes = 50_000_000_000
    """How much layers and unpacked images may take there; the least recently used go first."""


class HistorySettings(Section):
    """What is kept of what was."""

    keep: int = Field(default=10, ge=1)
    """How many images each service may go back by; `laurel gc` leaves them alone."""
