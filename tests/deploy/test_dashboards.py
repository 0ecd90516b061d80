"""The dashboards are what Grafana 10 and 11 provision: checked by what its schema asks, since no Grafana runs here."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from dashboards import FILES, FOLDER, OF_PROMETHEUS, metrics_of, panels, queries, read

ROOT = Path(__file__).parents[2]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SCHEMA = 38  # of Grafana 10.0; later ones migrate it as they load
WITHOUT_QUERY = {"row", "text"}
KINDS = {"stat", "timeseries", "table", "text", "row", "heatmap", "bargauge", "state-timeline"}
UNITS = {"none", "short", "s", "h", "bytes", "cps", "percentunit"}

boards = pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def asking(path: Path) -> list[dict[str, Any]]:
    return [panel for panel in panels(read(path)) if panel["type"] not in WITHOUT_QUERY]


def test_there_is_one_for_operators_and_one_for_engineers() -> None:
    assert [path.stem for path in FILES] == ["framewatch-engineers", "framewatch-operators"]


@boards
def test_it_can_be_provisioned(path: Path) -> None:
    board = read(path)
    assert "id" not in board, "Grafana gives one; a file that has its own collides with others"
    assert board["uid"] == path.stem
    assert board["schemaVersion"] == SCHEMA
    assert {"title", "tags", "panels", "templating", "time", "refresh", "timezone"} <= set(board)


@boards
def test_it_asks_for_the_data_source_and_the_camera(path: Path) -> None:
    datasource, camera = read(path)["templating"]["list"]
    assert (datasource["name"], datasource["type"], datasource["query"]) == ("datasource", "datasource", "prometheus")
    assert (camera["name"], camera["type"], camera["datasource"]) == ("camera", "query", DATASOURCE)
    assert camera["definition"] == camera["query"]["query"] == "label_values(framewatch_build_info, camera)"
    assert camera["includeAll"]
    assert camera["multi"]


@boards
def test_panels_have_ids_of_their_own_and_lie_beside_each_other(path: Path) -> None:
    found = list(panels(read(path)))
    ids = [panel["id"] for panel in found]
    assert len(set(ids)) == len(ids)
    for panel in found:
        place = panel["gridPos"]
        assert set(place) == {"h", "w", "x", "y"}
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert panel["type"] in KINDS
        assert panel["title"]
    for one, other in combinations(found, 2):
        assert not overlap(one["gridPos"], other["gridPos"]), f"{one['title']} / {other['title']}"


@boards
def test_every_panel_has_a_unit_and_queries_of_the_chosen_camera(path: Path) -> None:
    for panel in asking(path):
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["datasource"] == DATASOURCE
        names = [target["refId"] for target in panel["targets"]]
        assert names
        assert len(set(names)) == len(names)
        for target in panel["targets"]:
            assert target["datasource"] == DATASOURCE
            assert target["instant"] is not target["range"]
            named = metrics_of(target["expr"])
            assert named
            # An alert on a daemon that does not answer has no camera: that of which nothing is known must be shown too.
            chosen = 'camera=~"$camera|"' if named == {"ALERTS"} else 'camera=~"$camera"'
            assert target["expr"].count(chosen) == target["expr"].count("{"), target["expr"]


@boards
def test_numbers_are_mapped_to_words_where_they_are_states(path: Path) -> None:
    for panel in asking(path):
        if panel["type"] == "state-timeline" or panel["title"] in ("State", "Permit"):
            [mapping] = panel["fieldConfig"]["defaults"]["mappings"]
            assert all({"text", "color"} <= set(said) for said in mapping["options"].values())


def test_queries_name_metrics_of_ours_or_of_prometheus() -> None:
    for query in queries():
        for name in metrics_of(query.expr):
            assert name in OF_PROMETHEUS or name.startswith("framewatch_"), query


def test_the_provisioning_names_the_folder_and_a_data_source_that_the_container_can_fill_in() -> None:
    given = FOLDER.parent / "provisioning"
    [provider] = yaml.safe_load((given / "dashboards" / "framewatch.yaml").read_text())["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/etc/grafana/dashboards/framewatch"
    [source] = yaml.safe_load((given / "datasources" / "framewatch.yaml").read_text())["datasources"]
    assert (source["type"], source["access"]) == ("prometheus", "proxy")
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == scraped["global"]["scrape_interval"]
