"""Files that Laurel makes once and never overwrites: secrets, and what `laurel init` writes."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from pipeline.domain.references import model_slug, require_service_name
from pipeline.errors import ConfigurationError

_SERVICE = """\
services:
  - name: {service}
    model: {model}
    alias: champion                  # moving this alias in MLflow asks for a promotion
    # require: {{ tags: {{validated: "true"}} }}
    canary: {{ steps: [10, 25, 50], interval: 60s, min_samples: 200 }}
"""
_NO_SERVICE = """\
services: []                         # what is promoted where:
#  - name: fraud                     # a DNS label
#    model: fraud-scorer             # MLflow registered model
#    alias: champion                 # moving this alias in MLflow asks for a promotion
#    canary: { steps: [10, 25, 50], interval: 60s, min_samples: 200 }
"""
_SETTINGS = """\
# Laurel's settings. Paths are from this file's folder; LAUREL_SECTION__KEY overrides a key.
mlflow:
  url: {mlflow}
  poll: 30s                          # the webhook only makes it fast
webhook: {{ secret_file: ./webhook.secret }}
ledger: sqlite:///laurel.db          # the record; keep it
registry: oci-layout:./images        # where images go
signing: {{ key: ./laurel.key, password_file: ./laurel.key.password }}
serving: {{ target: local, port: 8081 }}
server: {{ host: 127.0.0.1, port: {port} }}
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `laurel init` was told about the reader's own world."""

    mlflow: str
    port: int
    model: str | None
    service: str | None


def settings_text(wanted: Wanted) -> str:
    """Draft a first laurel.yaml."""
    head = _SETTINGS.format(mlflow=_quoted(wanted.mlflow), port=wanted.port)
    return head + _services(wanted)


def write_new(path: Path, content: str) -> None:
    """Write a file that only its owner can read, and never over another one.

    Raises
    ------
    ConfigurationError
        Where it is there already, or cannot be written.

    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigurationError(f"{path} is there already and is not overwritten") from error
    except OSError as error:
        raise ConfigurationError(f"could not write {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)


def provide_secret(path: Path) -> bool:
    """Make a random secret if there is none, and tell whether it was made."""
    if path.exists():
        return False
    write_new(path, secrets.token_urlsafe(32) + "\n")
    return True


def _services(wanted: Wanted) -> str:
    if wanted.model is None:
        return _NO_SERVICE
    service = require_service_name(wanted.service or model_slug(wanted.model))
    return _SERVICE.format(service=service, model=_quoted(wanted.model))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # JSON's strings are YAML's
