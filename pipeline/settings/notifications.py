"""Who is told what became of promotions, and by which way."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr, model_validator

from pipeline.domain.notice import Topic
from pipeline.settings.fields import LocalPath, Section, require_http

_MUST_KNOW = (
    *(Topic.FAILED, Topic.ERRORED, Topic.ROLLED_BACK, Topic.HELD),
    *(Topic.DRIFT, Topic.APPROVAL, Topic.ATTENTION),
)
_WAYS = ("to", "to_file", "webhook")


class NotificationSettings(Section):
    """One channel: an address of apprise's, or a webhook of your own."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\z")
    """What logs and errors call it; a channel with a new name starts with what happens next."""
    to: SecretStr | None = None
    """An address that apprise knows: `slack://…`, `mailto://…`. It is a secret: set
    `LAUREL_NOTIFICATIONS__NAME`, or `to_file`. Needs `pip install 'laurel[notify]'`."""
    to_file: LocalPath | None = None
    """A file that holds such an address."""
    webhook: Annotated[str, AfterValidator(require_http)] | None = None
    """In place of both: where CloudEvents are posted to, signed with `secret_file`."""
    secret_file: LocalPath | tuple[LocalPath, ...] = ()
    """File with the secret that a webhook is signed with; a list while a secret is rotated."""
    ca_file: LocalPath | None = None
    """Certificates of a private authority, in PEM, for a webhook, beside those that the system
    trusts; apprise takes those of `REQUESTS_CA_BUNDLE`."""
    on: tuple[Topic, ...] = Field(default=_MUST_KNOW, min_length=1)
    """What is told: `succeeded failed errored aborted superseded` (how promotions end),
    `rolled_back` (traffic went back, by itself or by hand), `held released drift approval
    attention`."""
    services: tuple[str, ...] = ()
    """Of which services; default: all."""

    @model_validator(mode="before")
    @classmethod
    def _on_is_a_word(cls, said: Any) -> Any:  # noqa: ANN401 - YAML
        """Read ``on:`` as what it says: YAML 1.1 takes it for ``true``."""
        if isinstance(said, dict) and True in said:
            return {("on" if key is True else key): value for key, value in said.items()}
        return said

    @model_validator(mode="after")
    def _by_one_way(self) -> "NotificationSettings":
        if sum(getattr(self, way) is not None for way in _WAYS) != 1:
            raise ValueError(
                "say where to, once: webhook, to_file, or LAUREL_NOTIFICATIONS__"
                + self.name.upper().replace("-", "_")
            )
        if self.webhook is not None and not self.secret_files:
            raise ValueError(
                "webhook needs secret_file: "
                "echo whsec_$(openssl rand -base64 32) makes such a secret"
            )
        if self.webhook is None and (self.secret_files or self.ca_file):
            raise ValueError("secret_file and ca_file are for a webhook")
        return self

    @property
    def secret_files(self) -> tuple[LocalPath, ...]:
        """The files as a list."""
        return self.secret_file if isinstance(self.secret_file, tuple) else (self.secret_file,)
