"""The token of changes over HTTP: which header carries it, and which file may hold it."""

from pathlib import Path

import pytest

from monitor.keys import KeyFileError
from monitor.web import token
from monitor.web.token import Token

TEXT = "a-token_of-some-letters"


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        (f"Bearer {TEXT}", True),
        (f"bearer {TEXT}", True),
        (f"Bearer  {TEXT} ", True),
        (None, False),
        ("", False),
        ("Bearer", False),
        ("Bearer ", False),
        (TEXT, False),
        (f"Basic {TEXT}", False),
        (f"Bearer {TEXT[:-1]}", False),
        (f"Bearer {TEXT}x", False),
        (f"Bearer {TEXT.upper()}", False),
        (f"Bearer {TEXT} {TEXT}", False),
        ("Bearer \udcff\u00e9", False),
    ],
)
def test_only_the_header_that_carries_the_token_is_admitted(header: str | None, admitted: bool) -> None:
    assert Token(TEXT).admits(header) is admitted


def test_it_shows_itself_nowhere() -> None:
    assert TEXT not in f"{Token(TEXT)} {Token(TEXT)!r}"


def test_what_was_written_is_read(tmp_path: Path) -> None:
    token.write(tmp_path / "token")
    text = (tmp_path / "token").read_text().splitlines()[1]
    assert token.read(tmp_path / "token").admits(f"Bearer {text}")


@pytest.mark.parametrize("text", ["", "short", "two words of a token", "one-line-of-a-token\nand-another-of-it\n"])
def test_a_file_without_a_good_token_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeyFileError) as caught:
        token.read(path)
    assert str(caught.value).startswith(f"{path}: holds ")
    assert "short" not in str(caught.value)


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    token.write(tmp_path / "token")
    (tmp_path / "token").chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        token.read(tmp_path / "token")
