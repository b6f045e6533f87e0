import pytest

from pipeline.demo.narrator import Narrator


def test_what_is_told_goes_to_stderr_with_its_time_and_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    narrator = Narrator()
    narrator.title("laurel demo [not markup]")
    narrator.say("word " * 60)
    with narrator.waiting("nobody looks"):
        pass
    said = capsys.readouterr()
    assert said.out == ""
    title, line = said.err.splitlines()
    assert title == "laurel demo [not markup]"
    assert line.startswith("   0.0 s  word word")
