"""Scalars mean what they look like, duplicate keys are refused, and every text ends in a mapping or in one line."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.yamlfile import ConfigError, load


def loaded(folder: Path, text: str | bytes) -> dict[str, Any]:
    path = folder / "file.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path)


def refusal(folder: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    line = str(caught.value)
    assert line.startswith(f"{folder / 'file.yaml'}: ")
    assert len(line.splitlines()) == 1
    return line.removeprefix(f"{folder / 'file.yaml'}: ")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("7", 7),
        ("-3", -3),
        ("+3", 3),
        ("010", 10),
        ("1e-3", 0.001),
        ("1E6", 1e6),
        (".5", 0.5),
        ("2.", 2.0),
        ("-0.25", -0.25),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("True", "True"),
        ("NULL", "NULL"),
        ("0x10", "0x10"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2026-01-01", "2026-01-01"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1e", "1e"),
        ("'7'", "7"),
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555"),
    ],
)
def test_a_scalar_means_what_it_looks_like(tmp_path: Path, written: str, meant: object) -> None:
    value = loaded(tmp_path, f"key: {written}\n")["key"]
    assert value == meant
    assert type(value) is type(meant)


def test_sections_and_lists_nest(tmp_path: Path) -> None:
    text = "input:\n  endpoint: ipc:///run/camera\npermit:\n  withhold_states: [blind, stale]\n"
    assert loaded(tmp_path, text) == {
        "input": {"endpoint": "ipc:///run/camera"},
        "permit": {"withhold_states": ["blind", "stale"]},
    }


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "null\n"])
def test_an_empty_file_is_an_empty_mapping(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text) == {}


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert loaded(tmp_path, "\ufeffcamera: melt\n") == {"camera": "melt"}


def test_an_anchor_stands_for_its_value(tmp_path: Path) -> None:
    assert loaded(tmp_path, "a: &it [1, 2]\nb: *it\n") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2\n", "line 2: the key 'a' is given twice"),
        ("input:\n  rate_hz: 1\n  rate_hz: 2\n", "line 3: the key 'rate_hz' is given twice"),
        ("1: one\n", "line 1: the key 1 must be text"),
        ("null: one\n", "line 1: the key None must be text"),
        ("[a, b]: 1\n", "must be text"),
        ("- a\n- b\n", "must hold keys and values, not a list"),
        ("melt\n", "must hold keys and values, not a str"),
        ("a: 1\n b: 2\n", "line 2: "),
        ("a: [1, 2\n", "line 2: "),
        ("a: 'open\n", "line 2: "),
        ("a: *nowhere\n", "line 1: found undefined alias"),
        ("a: &a [*a]\n", "line 1: found unconstructable recursive node"),
        ("a: 1\n---\nb: 2\n", "expected a single document"),
        ("a: 1e999\n", "line 1: 1e999 is too large for a number"),
        ("a: " + "9" * 5000 + "\n", "too large or does not fit"),
        ("a: !!int many\n", "too large or does not fit"),
        ("a: !!bool maybe\n", "too large or does not fit"),
        ("a: !!timestamp soon\n", "too large or does not fit"),
        ("a: !!python/object/apply:os.system [id]\n", "could not determine a constructor"),
        ("a: " + "[" * 5000, "nested too deep"),
        ("a: \x00\n", "special characters are not allowed"),
        ("a: \t\t@\n", "line 1: "),
        (b"a: \xff\n", "is not UTF-8 text"),
        ('"two\\nlines": 1\n"two\\nlines": 2\n', "is given twice"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_refused_is_named_in_one_line(tmp_path: Path, text: str | bytes, says: str) -> None:
    assert says in refusal(tmp_path, text)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)


YAML_LIKE = st.text(alphabet=st.sampled_from(list("ab19.:-?&*!|>%@`'\"#{}[],<\n\t e~tru+/\u2028")), max_size=60)


def mapping_or_none(folder: Path, data: bytes) -> dict[str, Any] | None:
    """What *data* holds, None where it was refused. Any other error is passed on."""
    try:
        return loaded(folder, data)
    except ConfigError as error:
        said = str(error)
    assert len(said.splitlines()) == 1, said
    return None


@given(text=st.one_of(st.text(st.characters(codec="utf-8"), max_size=80), YAML_LIKE))
@example(text="!!map [a]")
@example(text="!!str {a: 1}")
@example(text="!!set {a, b}")
@example(text="a: !!omap {b: 1}")
@example(text="a: !!binary '*'")
@example(text="<<: 1")
@example(text="?")
@example(text="a: !!float x")
def test_any_text_gives_a_mapping_or_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    document = mapping_or_none(tmp_path_factory.getbasetemp(), text.encode())
    assert document is None or all(isinstance(key, str) for key in document)


@given(data=st.binary(max_size=60))
def test_any_bytes_give_a_mapping_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    document = mapping_or_none(tmp_path_factory.getbasetemp(), data)
    assert document is None or isinstance(document, dict)
