"""`framewatch taxonomy` and its API, with a daemon that runs and with one that does not."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import yaml
from daemon_example import some_config, some_orders
from side_example import Side
from taxonomy_example import kept, kind_row, put, store_of, written
from test_taxonomy_group import add, events

from monitor import cli
from monitor.bundle import Bundle
from monitor.config import read
from monitor.taxonomy.store import Store, beside, page_of
from monitor.web import token


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Of a daemon that found two kinds, and one event that is of neither."""
    with closing(store_of(tmp_path)) as made:
        made.write(written([kept(1, alarm="a-1"), kept(2), kept(3)]))
        put(made, kind_row(1, (1, 2), notes=("was wet",)), kind_row(2, state="merged", merged_into=1))
        yield made


@pytest.fixture
def config(tmp_path: Path) -> Path:
    given = some_config(tmp_path)
    path = tmp_path / "framewatch.yaml"
    token.write(tmp_path / "http.token")
    document = {
        "camera": given.camera,
        "journal": given.journal,
        "http": {"port": given.http.port, "token_file": "http.token"},
        "outputs": {"alarms": given.outputs.alarms, "permit": given.outputs.permit, "snapshot": given.outputs.snapshot},
    }
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def side(config: Path, store: Store) -> Iterator[Side]:
    """The side process of a daemon that runs."""
    with some_orders(read(config)) as (given, memory):
        made = Side(given, memory)
        made.start()
        yield made
        made.close()


def run(config: Path, *arguments: str) -> int:
    command, *rest = arguments
    return cli.main(["taxonomy", command, "--config", str(config), *rest])


def test_kinds_are_listed_and_shown_as_tables_or_json(
    config: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config, "list") == 0
    assert "merged into 1" in capsys.readouterr().out
    assert run(config, "list", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(kind["id"], kind["events"]) for kind in found["kinds"]] == [(1, 2), (2, 0)]
    assert run(config, "show", "1") == 0
    out = capsys.readouterr().out
    assert "kind 1: alive, 2 events, 2 of them kept" in out
    assert "was wet" in out
    assert "a-1" in out


def test_without_a_daemon_a_kind_is_named_in_the_file(
    config: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config, "name", "1", "splash", "--note", "left", "--priority", "high", "--by", "ann") == 0
    assert "kind 1 splash: alive, priority high" in capsys.readouterr().out
    found = store.kind(1)
    assert found is not None
    assert (found.name, found.notes, found.priority) == ("splash", ("was wet", "left"), "high")
    assert run(config, "name", "1", "--priority", "none", "--by", "ann") == 0
    assert run(config, "show", "1") == 0
    assert "ann: name splash, note left, priority high" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("show", "9"), 1, "there is no kind 9"),
        (("name", "9", "splash"), 1, "there is no kind 9"),
        (("name", "1", "splash", "--by", "a\udc80"), 1, "no text in UTF-8"),
        (("name", "1"), 1, "give a NAME, a --note or a --priority"),
        (("run",), 1, "without a bundle"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    config: Path, store: Store, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, said: str
) -> None:
    assert run(config, *arguments) == status
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_names_are_shown_as_they_are(config: Path, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "name", "1", "[red] :warning: <b>", "--by", "ann") == 0
    assert run(config, "list") == 0
    assert capsys.readouterr().out.count("[red] :warning: <b>") == 2


def test_before_the_first_start_there_are_no_kinds(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "list") == 1
    assert "there are no kinds yet" in capsys.readouterr().err


def test_without_a_daemon_run_groups_here(
    config: Path, small_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(f"{config.read_text()}\nbundle: {small_bundle.path}\n")
    with closing(store_of(tmp_path)) as store:
        add(store, *events(1, 12, "spot"), *events(13, 10, "bright"))
    page = page_of(beside(tmp_path / "journal.db"))
    page.mkdir()
    assert run(config, "run") == 1
    assert f"they are grouped, but their page cannot be written: {page}: " in capsys.readouterr().err
    page.rmdir()
    assert run(config, "run", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["run"]["points"], len(found["kinds"])) == (22, 2)


def test_with_a_daemon_kinds_are_named_by_it_with_the_token_alone(
    side: Side, config: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config, "name", "1", "splash", "--by", "ann") == 0
    assert "kind 1 splash" in capsys.readouterr().out
    url = f"http://127.0.0.1:{side.orders.config.http.port}/api/v1/taxonomy"
    with httpx.Client(trust_env=False) as http:
        assert http.get(url).json()["kinds"][0]["name"] == "splash"
        assert http.get(f"{url}/1").json()["acts"][0]["by"] == "ann"
        assert http.get(f"{url}/9").status_code == 404
        assert http.get(f"{url}/{2**63}").status_code == 404
        assert http.post(f"{url}/1/name", json={"by": "eve", "name": "x"}).status_code == 401
        assert http.post(f"{url}/run", json={"by": "eve"}).status_code == 401
        shown, pictures = url.replace("/api/v1", ""), f"{url}/pictures"
        assert [http.get(one).status_code for one in (shown, pictures)] == [404, 404]
        page = page_of(beside(Path(side.orders.config.journal)))
        page.write_text("<html>kinds</html>")
        page.with_suffix(".json").write_text('{"v": 1}')
        assert (http.get(shown).text, http.get(pictures).json()) == ("<html>kinds</html>", {"v": 1})
        allowed = {"Authorization": f"Bearer {token.text_of(tmp_path / 'http.token')}"}
        asked: list[tuple[dict[str, str], int]] = [
            ({}, 400),
            ({"priority": "none"}, 200),
            ({"name": ""}, 400),
            ({"name": "  "}, 400),
            ({"name": "two\nlines"}, 400),
            ({"name": "x", "prority": "high"}, 400),
        ]
        for body, status in asked:
            assert http.post(f"{url}/1/name", json={"by": "ann", **body}, headers=allowed).status_code == status
        assert http.post(f"{url}/7/name", json={"by": "ann", "name": "x"}, headers=allowed).status_code == 404
        assert (
            'framewatch_taxonomy_kinds{camera="melt"} 1.0' in http.get(url.replace("api/v1/taxonomy", "metrics")).text
        )
    found = store.kind(1)
    assert found is not None
    assert found.name == "splash"


def test_the_side_process_loads_neither_torch_nor_what_groups() -> None:
    script = (
        "import sys, monitor.side; "
        "print(sorted({'torch', 'sklearn', 'scipy.cluster', 'scipy.optimize', 'numba'} & set(sys.modules)), "
        "sorted(name for name in sys.modules if name.startswith('models')))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[] ['models', 'models.taxonomy', 'models.taxonomy.reservoir']"
