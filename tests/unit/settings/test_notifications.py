"""Who is told: channels of laurel.yaml, whose addresses are secrets."""

from pathlib import Path

import pytest

from pipeline import wiring
from pipeline.domain.notice import Topic
from pipeline.errors import ConfigurationError
from pipeline.notify.apprise_sender import AppriseSender
from pipeline.notify.webhook_sender import WebhookSender
from pipeline.settings import Settings
from pipeline.settings.load import load_settings

SERVICE = "services: [{name: fraud, model: scorer}]\n"
AUDIT = "{name: audit, webhook: 'https://audit.example.com/laurel', secret_file: audit.secret}"


def settings(folder: Path, channels: str, **environment: str) -> Settings:
    path = folder / "laurel.yaml"
    path.write_text(f"{SERVICE}notifications: {channels}\n")
    return load_settings(path, environment)


@pytest.mark.parametrize("on", ["on", "'on'"])
def test_what_a_channel_is_told_is_read_although_yaml_takes_on_for_true(
    tmp_path: Path, on: str
) -> None:
    (found,) = settings(
        tmp_path, f"[{{name: ops, to_file: ops.url, {on}: [failed, rolled_back]}}]"
    ).notifications
    assert found.on == (Topic.FAILED, Topic.ROLLED_BACK)
    assert found.to_file == tmp_path / "ops.url"


def test_a_channel_that_says_no_more_is_told_what_somebody_must_know(tmp_path: Path) -> None:
    (found,) = settings(tmp_path, f"[{AUDIT}]").notifications
    assert set(Topic) - set(found.on) == {
        Topic.SUCCEEDED,
        Topic.ABORTED,
        Topic.SUPERSEDED,
        Topic.RELEASED,
    }
    assert found.secret_files == (tmp_path / "audit.secret",)


def test_an_address_comes_from_the_environment_and_is_never_shown(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        f"[{AUDIT}, {{name: on-call}}]",
        LAUREL_NOTIFICATIONS__ON_CALL="slack://hunter2/hunter2",
    )
    channel = found.notifications[1]
    assert channel.to is not None
    assert channel.to.get_secret_value() == "slack://hunter2/hunter2"
    assert "hunter2" not in repr(found)
    assert isinstance(
        wiring.build_channels(found.model_copy(update={"notifications": (channel,)}))[0].sender,
        AppriseSender,
    )


@pytest.mark.parametrize("channels", ["[]", "[{name: ops, to_file: x}, 7]", "ops", "null"])
def test_a_variable_for_a_channel_that_is_not_there_is_an_error(
    tmp_path: Path, channels: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"LAUREL_NOTIFICATIONS__NONE: .* has no channel"):
        settings(tmp_path, channels, LAUREL_NOTIFICATIONS__NONE="slack://hunter2")


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ("[{name: on-call}]", "say where to, once: .* or LAUREL_NOTIFICATIONS__ON_CALL"),
        ("[{name: ops, to_file: x, webhook: 'https://a/'}]", "say where to, once"),
        ("[{name: ops, webhook: 'https://a/'}]", "webhook needs secret_file: echo whsec_"),
        ("[{name: ops, to_file: x, secret_file: y}]", "are for a webhook"),
        ("[{name: ops, to_file: x, ca_file: y}]", "are for a webhook"),
        ("[{name: ops, to_file: x, on: []}]", "at least 1 item"),
        ("[{name: ops, to_file: x, on: [exploded]}]", "'succeeded', 'failed'"),
        ("[{name: ops, to_file: x, service: [a]}]", "unknown key, did you mean services"),
        ("[{name: Ops, to_file: x}]", "pattern"),
        ("[{name: ops, to_file: x}, {name: ops, to_file: y}]", "each name may stand once"),
        ("[{name: ops, to_file: x, services: [other]}]", "there is no service 'other'"),
        ("[ops]", "valid dictionary"),
        ("[{name: a, secret_file: s, webhook: 'ftp://a/'}]", "write https://HOST/PATH"),
        ("[{name: a, secret_file: s, webhook: 'https:///x'}]", "write https://HOST/PATH"),
        ("[{name: a, secret_file: s, webhook: 'https://[x/'}]", "write https://HOST/PATH"),
        ("[{name: a, secret_file: s, webhook: 'https://a:x/'}]", "write https://HOST/PATH"),
        ("[{name: a, secret_file: s, webhook: 'https://u:hunter2@a/'}]", "credentials"),
    ],
)
def test_a_channel_that_cannot_be_is_told_with_the_fix(
    tmp_path: Path, channels: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        settings(tmp_path, channels)
    assert "hunter2" not in str(refused.value)


def test_a_webhooks_secret_is_read_when_it_is_used(tmp_path: Path) -> None:
    found = settings(tmp_path, f"[{AUDIT}]")
    with pytest.raises(ConfigurationError, match=r"audit\.secret: .*of the channel audit into it"):
        wiring.build_channels(found)
    (tmp_path / "audit.secret").write_text("whsec_hunter2!\n")
    with pytest.raises(ConfigurationError, match="no base64"):
        wiring.build_channels(found)
    (tmp_path / "audit.secret").write_text("whsec_aHVudGVyMg==\n")
    (channel,) = wiring.build_channels(found)
    assert isinstance(channel.sender, WebhookSender)
    assert channel.name == "audit"


def test_a_file_with_an_address_is_read_when_it_is_used(tmp_path: Path) -> None:
    found = settings(tmp_path, "[{name: ops, to_file: ops.url}]")
    with pytest.raises(ConfigurationError, match=r"ops\.url: .*of the channel ops into it"):
        wiring.build_channels(found)
    (tmp_path / "ops.url").write_text("json://127.0.0.1\n")
    assert len(wiring.build_channels(found)) == 1


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("{}", "http://127.0.0.1:8080"),
        ("{host: '::1', port: 80}", "http://[::1]:80"),
        ("{url: 'https://laurel.example.com'}", "https://laurel.example.com"),
    ],
)
def test_links_lead_to_where_people_reach_laurel(tmp_path: Path, server: str, url: str) -> None:
    (tmp_path / "laurel.yaml").write_text(f"server: {server}\n")
    found = load_settings(tmp_path / "laurel.yaml", {})
    assert wiring.reached(found.server) == url
