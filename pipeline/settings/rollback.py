"""Rollbacks that other systems ask for by a signed call."""

from pathlib import Path

from pipeline.settings.fields import LocalPath, Section


class RollbacksSettings(Section):
    """Rollbacks: who else may ask for them, and what they do beside."""

    secret_file: LocalPath | tuple[LocalPath, ...] | None = None
    """File with the secret that calls of `POST /webhooks/rollback` are signed with; a list while a
    secret is rotated. Without one, that address is off."""
    move_alias: bool = False
    """Whether a rollback also moves the service's alias in MLflow to the version it returns to."""

    @property
    def secret_files(self) -> tuple[Path, ...]:
        """The files as a list."""
        named = self.secret_file
        if named is None:
            return ()
        return named if isinstance(named, tuple) else (named,)
