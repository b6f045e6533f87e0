"""Somebody whom `laurel doctor` looks at: a folder with laurel.yaml, and an MLflow."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from pipeline import wiring
from pipeline.adapters.system_clock import SystemClock
from pipeline.cli import main
from pipeline.doctor.finding import Finding
from pipeline.doctor.looks import looked
from pipeline.settings.load import load_settings
from tests.servers.mlflow import MlflowServer


@dataclass
class Patient:
    """A folder with laurel.yaml, and what its doctor finds."""

    folder: Path
    mlflow: MlflowServer
    model: str

    @property
    def config(self) -> Path:
        return self.folder / "laurel.yaml"

    @property
    def url(self) -> str:
        return wiring.webhook_url(load_settings(self.config, {}))

    def set(self, section: str, **keys: object) -> None:
        """Change laurel.yaml; a list's keys are those of its one service."""
        said = yaml.safe_load(self.config.read_text())
        if section == "services":
            said[section] = [said[section][0] | keys]
        else:
            said[section] = (said.get(section) or {}) | keys
        self.config.write_text(yaml.safe_dump(said))

    def findings(self, *, ahead: timedelta = timedelta(0)) -> list[Finding]:
        settings = load_settings(self.config, {})
        return list(looked(wiring.build_looks(settings, _Clock(ahead))))

    def amiss(self, **how: timedelta) -> list[Finding]:
        return [each for each in self.findings(**how) if each.level != "ok"]

    def told(self, what: str, fix: str, **how: timedelta) -> None:
        """Find exactly this, with this fix."""
        found = self.amiss(**how)
        assert [f for f in found if what in f.what and fix in f.fix], found

    def well(self) -> None:
        assert self.amiss() == []

    def type(self, *command: str) -> None:
        """Type a fix."""
        result = CliRunner().invoke(main, [*command, "--config", str(self.config)])
        assert result.exit_code == 0, result.output

    def webhook(self) -> dict[str, Any]:
        listed = self.mlflow.call("GET", "mlflow/webhooks").get("webhooks", [])
        (found,) = (each for each in listed if each["url"] == self.url)
        return dict(found)


class _Clock(SystemClock):
    """The clock of this machine, set wrong."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead
