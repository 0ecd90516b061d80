"""`framewatch taxonomy compare`: of frames that are kept or recorded, in a table, JSON and a page; or one line."""

import hashlib
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import yaml
from cli_example import Desk
from frames import brighter, normal, with_spot
from taxonomy_example import kind_row, put, store_of
from test_taxonomy_group import add, events

from models.taxonomy.cut import KINDS_MAX
from models.taxonomy.ways import MOST, NAMES
from monitor.bundle import Bundle
from monitor.taxonomy import compare_command, parser
from monitor.taxonomy.store import beside


@pytest.fixture
def desk(
    tmp_path: Path, small_bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    """A folder with a configuration; this process does not become the machine's last in turn."""
    monkeypatch.setattr(os, "nice", lambda by: by)
    monkeypatch.chdir(tmp_path)
    document = {"camera": "melt", "bundle": str(small_bundle.path), "journal": "journal.db"}
    (tmp_path / "framewatch.yaml").write_text(yaml.safe_dump(document))
    return Desk(tmp_path, capsys)


def compare(desk: Desk, *arguments: object) -> tuple[int, str, str]:
    return desk.run("taxonomy", "compare", "--config", "framewatch.yaml", *arguments)


def recorded(folder: Path) -> list[Path]:
    for name, change in (("spot", with_spot), ("bright", brighter)):
        (folder / name).mkdir()
        np.save(folder / name / "run.npy", change(np.concatenate([normal(1, 100 + n) for n in range(12)])))
    return [folder / "spot" / "run.npy", folder / "bright" / "run.npy"]


def keep_events(folder: Path) -> Path:
    with closing(store_of(folder)) as store:
        add(store, *events(1, 12, "spot"), *events(13, 10, "bright"))
        put(store, kind_row(1, tuple(range(1, 13)), name="spatter"), kind_row(2, tuple(range(13, 23)), name="flash"))
    return beside(folder / "journal.db")


def test_kept_events_are_held_against_the_names_of_their_kinds_and_the_file_is_left_as_it_is(desk: Desk) -> None:
    path = keep_events(desk.folder)
    before = hashlib.sha256(path.read_bytes()).hexdigest(), sorted(one.name for one in desk.folder.iterdir())
    status, out, _ = compare(desk)
    assert status == 0
    assert all(name in out for name in NAMES)
    assert "22 events (5,000 at most); 21 groupings in" in out
    assert "22 events have labels, from names that people gave to kinds" in out
    assert before == (hashlib.sha256(path.read_bytes()).hexdigest(), sorted(one.name for one in desk.folder.iterdir()))


def test_recorded_frames_are_compared_without_a_file_of_kinds(desk: Desk) -> None:
    paths = recorded(desk.folder)
    status, out, _ = compare(desk, "--labels", "folders", "--json", "--out", "page.html", "--from", *paths)
    assert status == 0
    found = json.loads(out)
    assert found["labels"]["count"] == len(found["events"]) == 24
    assert found["events"][0]["label"] == "spot"
    assert "24 events" in (desk.folder / "page.html").read_text()
    assert not beside(desk.folder / "journal.db").exists()


def test_the_number_of_groups_is_told_or_bounded(desk: Desk) -> None:
    keep_events(desk.folder)
    for option, tried in (("--kinds", MOST), ("--most", 3)):
        _, out, _ = compare(desk, option, 3, "--json")
        way = json.loads(out)["embeddings"][0]["ways"][4]
        assert [count for count, _ in way["costs"]] == list(range(1, tried + 1)), option
        assert (way["groups"] == 3) or option == "--most"


def test_beside_a_daemon_it_is_the_last_in_turn_in_one_thread(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_events(desk.folder)
    niced: list[int] = []
    monkeypatch.setattr(os, "nice", niced.append)
    assert compare(desk)[0] == 0
    assert niced == [compare_command.NICE]
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_torch_is_not_loaded_where_no_embedding_needs_it(desk: Desk) -> None:
    keep_events(desk.folder)
    script = (
        "import os, sys; os.nice = lambda by: by; from monitor import cli; "
        "status = cli.main(['taxonomy', 'compare', '--config', 'framewatch.yaml', '--out', 'page.html']); "
        "print(status, 'torch' in sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.splitlines()[-1] == "0 False"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "there are no events yet"),
        (("--from", "none.npy"), "none.npy: does not exist"),
        (("--from", "few.npy"), "3 events: two kinds of 4 take 8"),
        (("--from", "small.npy"), "frames are 16x16 uint8, but the bundle"),
        (("--from", "many.npy", "--embedding", "none.safetensors"), "none.safetensors: No such file"),
        (("--from", "many.npy", "--embedding", "many.npy"), "many.npy: is damaged, or no embedding"),
        (("--from", "many.npy", "--labels", "none.csv"), "none.csv: No such file"),
        (("--from", "many.npy", "--labels", "columns.csv"), "columns.csv: needs columns label"),
        (("--from", "many.npy", "--labels", "others.csv"), "others.csv: labels none of the 12 events"),
        (("--labels", "folders"), "only frames of --from lie in folders"),
        (("--out", "nowhere/page.html"), "is a folder, or stands in none"),
        (("--kinds", "1"), "takes 2 to 24"),
        (("--most", "25"), "takes 2 to 24"),
        (("--kinds", "3", "--most", "4"), "not allowed with"),
        (("--from", "many.npy", "--kinds", "13"), "12 events cannot be in 13 groups"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_exit_status_2(desk: Desk, arguments: tuple[str, ...], said: str) -> None:
    np.save(desk.folder / "few.npy", normal(3, 0))
    np.save(desk.folder / "many.npy", normal(12, 0))
    np.save(desk.folder / "small.npy", normal(12, 0, 16, 16))
    (desk.folder / "columns.csv").write_text("frame,kind\n1,x\n")
    (desk.folder / "others.csv").write_text("seq,label\n999,x\n")
    status, out, err = compare(desk, *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_without_a_bundle_there_is_nothing_to_compare(desk: Desk) -> None:
    (desk.folder / "framewatch.yaml").write_text("camera: melt\n")
    status, _, err = compare(desk)
    assert (status, "names no bundle" in err) == (2, True)


def test_no_more_groups_can_be_asked_for_than_a_tree_is_cut_into() -> None:
    assert parser.GROUPS_MOST == KINDS_MAX
