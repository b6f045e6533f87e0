"""What only MLflow's owner can mend: `laurel doctor` finds one setting after another.

The other misconfigurations that it finds: tests/integration/test_doctor.py.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.servers.answering import answering
from tests.servers.laurel import install
from tests.servers.mlflow import running_mlflow
from tests.servers.patient import Patient
from tests.servers.ports import free_ports


def test_settings_of_mlflows_owner_are_found_one_after_another(tmp_path: Path) -> None:
    """Each fix is the next start of one MLflow server; what was hidden behind it is found then."""
    port, hosts = free_ports(1)[0], ["--allowed-hosts", "mlflow.example.com"]
    environment = {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "false",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "",
    }
    (tmp_path / "mlflow").mkdir()

    def started(*arguments: str) -> Any:  # noqa: ANN401 - a context
        folder = tmp_path / "mlflow"
        return running_mlflow(folder, port, environment=environment, arguments=arguments)

    folder = install(tmp_path / "laurel", f"http://127.0.0.1:{port}", tmp_path / "cache")
    with answering(folder):
        with started(*hosts) as mlflow:
            patient = Patient(folder, mlflow, "fraud-scorer")
            patient.told("could not list the aliases", "--allowed-hosts")
        with started("--allowed-hosts", f"127.0.0.1:{port}") as mlflow:
            mlflow.create_model(patient.model)
            mlflow.register(patient.model)
            mlflow.set_alias(patient.model, "champion", 1)
            patient.told("takes no webhook", "MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https")
        environment["MLFLOW_WEBHOOK_ALLOWED_SCHEMES"] = "http,https"
        with started():
            patient.told("takes no webhook", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true")
        environment["MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS"] = "true"
        with started("--workers", "2"):
            patient.told("each have an encryption key of their own", "ENCRYPTION_KEY")
        with started():
            patient.type("webhook", "install")
            patient.well()  # nobody can see from outside that the next start will break it
        with started():
            patient.told("cannot read the secrets", "UPDATE webhooks SET secret = NULL")
        key = "bGF1cmVsLXRlc3RzLWtleS0zMi1ieXRlcy1sb25nISE="
        environment["MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"] = key
        with closing(sqlite3.connect(tmp_path / "mlflow" / "mlflow.db")) as database:
            database.execute("UPDATE webhooks SET secret = NULL")
            database.commit()
        with started("--workers", "2"):
            patient.told("another secret than Laurel", "laurel webhook install")
            patient.type("webhook", "install")
            patient.well()
