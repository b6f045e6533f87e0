import errno

import click
import pytest
from click.testing import CliRunner, Result

from pipeline import errors
from pipeline.cli import main
from pipeline.cli.exits import Laurel
from tests.unit.cli.conftest import laurel


def ended_by(error: BaseException) -> Result:
    """Run a verb that ends by this."""

    @click.command()
    def verb() -> None:
        raise error

    return CliRunner().invoke(Laurel(commands={"verb": verb}), ["verb"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError("mend it"), 2),
        (errors.InvalidReferenceError("mend it"), 2),
        (errors.NotFoundError("read", "it", "mend it"), 2),
        (errors.ForbiddenError("read", "it", "mend it"), 2),
        (errors.UnavailableError("read", "it", "mend it"), 3),
        (errors.CorruptedError("read", "it", "mend it"), 3),
        (errors.LaurelError("mend it"), 3),
    ],
)
def test_an_error_ends_in_one_line_and_its_code(error: errors.LaurelError, code: int) -> None:
    result = ended_by(error)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == f"laurel: {error}\n"


def test_what_a_model_printed_moves_no_terminal() -> None:
    result = ended_by(errors.LaurelError("smoke: \x1b[2J\rdone\nand more"))
    assert result.stderr == "laurel: smoke:  [2J done and more\n"


def test_what_nobody_foresaw_ends_in_one_line_too() -> None:
    result = ended_by(KeyError("missing"))
    assert (result.exit_code, result.stdout) == (3, "")
    told = "laurel: broke unexpectedly: KeyError: 'missing'; LAUREL_DEBUG=1 shows where\n"
    assert result.stderr == told


def test_a_traceback_is_shown_only_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUREL_DEBUG", "1")
    result = ended_by(errors.ConfigurationError("mend it"))
    assert result.exit_code == 2
    assert result.stderr.startswith("Traceback")
    assert result.stderr.endswith("laurel: mend it\n")


def test_an_interruption_ends_as_shells_have_it() -> None:
    result = ended_by(KeyboardInterrupt())
    assert (result.exit_code, result.stderr) == (130, "laurel: interrupted\n")


def test_a_reader_that_went_away_is_no_fault() -> None:
    result = ended_by(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert (result.exit_code, result.stderr) == (1, "")


def test_a_verb_that_is_not_there_is_a_mistake_of_the_caller() -> None:
    result = laurel("deploy")
    assert result.exit_code == 2
    assert "No such command" in result.stderr


def test_the_verbs_are_listed_in_the_order_of_a_first_day() -> None:
    listed = main.list_commands(click.Context(main))
    assert listed[:3] == ["init", "up", "serve"]
    assert set(listed) == {
        *("init", "up", "serve", "worker", "down", "demo", "promote", "rollback", "status"),
        *("plan", "list", "watch", "history"),
        *("approve", "pause", "resume", "complete", "abort", "retry", "hold", "release"),
        *("build", "inspect", "copy", "gc"),
        *("doctor", "verify", "keys", "token", "webhook", "notify", "steps", "schema", "migrate"),
        *("backup", "restore"),
    }


@pytest.mark.parametrize("verb", sorted({*main.commands} - {"keys", "token", "webhook"}))
def test_every_verb_says_what_it_does_in_a_sentence_and_prints_json_on_request(verb: str) -> None:
    command = main.commands[verb]
    sentence = command.get_short_help_str(limit=66)
    assert not sentence.endswith("...")
    assert {"--json", "--config", "--server"} <= {
        option for parameter in command.params for option in parameter.opts
    }


@pytest.mark.parametrize("code", [0, 1])
def test_the_demo_s_own_verdict_is_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    asked: list[dict[str, bool]] = []

    def run(**how: bool) -> int:
        asked.append(how)
        return code

    monkeypatch.setattr("pipeline.demo.run", run)  # the real one is run by tests/acceptance
    assert laurel("demo", "--keep").exit_code == code
    assert asked == [{"keep": True, "json": False}]
