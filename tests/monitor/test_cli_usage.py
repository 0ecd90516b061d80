"""Arguments and configurations held to the contract: help on standard output, or one line that says what is wrong."""

from pathlib import Path

import pytest
from cli_example import Desk, assert_refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import monitor


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, capsys)


@pytest.mark.parametrize(
    "command", ["", "demo", "calibrate", "score", "evaluate", "run", "replay", "simulate", "doctor", "bench"]
)
def test_every_command_explains_itself(desk: Desk, command: str) -> None:
    ended = desk.run(*filter(None, (command, "--help")))
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("usage: framewatch")


def test_it_tells_its_version(desk: Desk) -> None:
    assert desk.run("--version").out == f"framewatch {monitor.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["watch"], "invalid choice: 'watch'"),
        (["demo", "--fast"], "unrecognized arguments: --fast"),
        (["demo", "--stem", "images"], "unrecognized arguments: images"),
        (["demo", "--seconds", "0"], "argument --seconds: 0 must be above 0"),
        (["demo", "--seconds", "nan"], "argument --seconds: nan must be above 0"),
        (["demo", "--seconds", "soon"], "argument --seconds: 'soon' is no number"),
        (["run"], "the following arguments are required: --config"),
        (["calibrate", "x"], "the following arguments are required: --out"),
        (["calibrate", "--out", "b", "--endpoint", "tcp://127.0.0.1:99999"], "argument --endpoint: "),
        (["calibrate", "--out", "b", "--endpoint", "tcp://127.0.0.1:1", "--frames", "0"], "0 must be at least 1"),
        (["calibrate", "--out", "b", "--endpoint", "nowhere"], "'nowhere' must be an address such as tcp://"),
        (["calibrate", "--out", "b", "--endpoint", "tcp://127.0.0.1:1", "--camera", "a b"], "'a b' must be a name"),
        (["calibrate", "--out", "b", "--in", "hatch"], "argument --in: which frames show hatch? Give their paths"),
        (["calibrate", "--out", "b", "--in", "", "x"], "argument --in: '' must be the name of a context"),
        (["calibrate", "--out", "b", "x", "--context", "a" * 129], "must be the name of a context, of at most 128"),
        (["score", "--bundle", "b", "--out", "scores.csv"], "give recorded frames (PATH... or --in CONTEXT PATH...)"),
        (["replay", "--endpoint", "tcp://*:0", "--rate", "1"], "give recorded frames (PATH... or --in CONTEXT"),
        (["score", "x", "--bundle", "b", "--out", "scores.xlsx"], "scores.xlsx: must end in .parquet or .csv"),
        (["score", "x", "--bundle", "b", "--out", "none/scores.csv"], "none/scores.csv: "),
        (["simulate", "stars", "--endpoint", "e", "--rate", "1"], "invalid choice: 'stars'"),
        (["simulate", "meltpool", "--endpoint", "tcp://127.0.0.1:0", "--rate", "-5"], "-5 must lie between"),
        (["simulate", "meltpool", "--endpoint", "tcp://127.0.0.1:0", "--rate", "1e300"], "1e300 must lie between"),
        (["simulate", "meltpool", "--endpoint", "tcp://127.0.0.1:0"], "are required: --rate"),
        (
            ["taxonomy", "learn", *("--config", "c", "--out", "e", "--embedding", "invariant", "--contents", "999")],
            "argument --contents: takes 1 to 256",
        ),
        (["taxonomy", "show", str(2**63), "--config", "c"], f"{2**63} must be at most {2**63 - 1}"),
        (["simulate", "meltpool", "--endpoint", "nonsense", "--rate", "1"], "'nonsense' must be an address"),
        (["simulate", "meltpool", "--endpoint", "tcp://1.2.3.4:70000", "--rate", "1"], "must be an address"),
        (["replay", "x", "--endpoint", "tcp://*:0", "--rate", "1", "--camera", "é"], "must be a name of 1 to 64"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_in_one_line(desk: Desk, arguments: list[str], says: str) -> None:
    assert says in desk.refuse(*arguments)


ARGUMENTS = st.lists(
    st.sampled_from(["calibrate", "score", "evaluate", "simulate", "meltpool", "replay", "doctor", "run", "--out"])
    | st.sampled_from(["--config", "--bundle", "--endpoint", "--rate", "--size", "none", "-1", "1e9", "--json", "--"])
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),
    max_size=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments=ARGUMENTS)
def test_any_arguments_end_in_help_or_one_line(desk: Desk, arguments: list[str]) -> None:
    if "--endpoint" in arguments or "doctor" in arguments:  # would look at this machine
        arguments = [one for one in arguments if one not in ("--endpoint", "doctor")]
    ended = desk.run(*arguments)
    if ended.status == 0:
        assert ended.out.startswith("usage: framewatch")
    else:
        assert_refused(ended, 2)


# Configurations


BAD_CONFIGS = {
    "unknown key": ("input: {rate: 5}", "input.rate: unknown key; did you mean 'rate_hz'?"),
    "wrong type": ("input: {rate_hz: fast}", "input.rate_hz: Expected `float`, got `str`"),
    "duplicate key": ("camera: a\ncamera: b", "line 2: the key 'camera' is given twice; keep one"),
    "out of range": ("http: {port: 99999}", "http.port: Expected `int` <= 65535"),
    "malformed endpoint": ("outputs: {alarms: 'tcp://here'}", "outputs.alarms: must be an address such as tcp://"),
    "broken": ("input: [", "line 1: while parsing a flow"),
    "a list": ("- camera", "must hold keys and values, not a list"),
    "binary": ("camera: \x00", "special characters are not allowed"),
}


@pytest.mark.parametrize("name", BAD_CONFIGS)
@pytest.mark.parametrize("command", ["calibrate", "run", "doctor"])
def test_a_wrong_configuration_is_told_with_file_and_key(desk: Desk, name: str, command: str) -> None:
    text, says = BAD_CONFIGS[name]
    config, frames = desk.file("framewatch.yaml", text), desk.recording("frames")
    more = (frames, "--out", "bundle") if command == "calibrate" else ()
    said = desk.refuse(command, *more, "--config", config)
    assert said.startswith(f"framewatch: {config}: ")
    assert says in said


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_a_missing_configuration_is_named(desk: Desk, command: str) -> None:
    said = desk.refuse(command, "--config", "none.yaml")
    assert said == "framewatch: none.yaml: cannot be read: No such file or directory\n"
