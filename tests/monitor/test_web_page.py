"""The operator page comes whole with the program, asks nobody else, and makes no markup of what others say."""

import asyncio
import re
from importlib.resources import files

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from starlette.applications import Starlette

from monitor.web import page

PARTS = {one.name: one.read_text(encoding="utf-8") for one in files("monitor.web").joinpath("operator_page").iterdir()}
SCRIPTS = sorted(name for name in PARTS if name.endswith(".js"))


def get(path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=page.routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("path", "kind"), [("/", "text/html"), ("/page/main.js", "text/javascript"), ("/page/page.css", "text/css")]
)
def test_parts_are_sent_as_what_they_are_and_may_speak_to_their_own_port_alone(path: str, kind: str) -> None:
    answer = get(path)
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; connect-src 'self'")
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", ["page.py", "..%2Fpage.py", "nothing.js", "%2Fetc%2Fpasswd"])
def test_nothing_but_its_parts_can_be_asked_for(name: str) -> None:
    assert get(f"/page/{name}").status_code == 404


def test_every_part_that_one_names_is_there() -> None:
    named = re.findall(r'(?:href|src)="page/([^"]+)"', PARTS["index.html"])
    named += [found for name in SCRIPTS for found in re.findall(r'from "\./([^"]+)"', PARTS[name])]
    assert {"main.js", "page.css", "sheet.js"} <= set(named)
    assert set(named) <= set(PARTS)
    assert set(SCRIPTS) == {name for name in named if name.endswith(".js")}, "a script that nobody loads"


@pytest.mark.parametrize("name", sorted(PARTS))
def test_no_part_asks_anybody_else_or_makes_markup_of_texts(name: str) -> None:
    assert "://" not in PARTS[name]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|style=", PARTS[name])


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_element_that_a_script_looks_for_is_in_the_page(name: str) -> None:
    made = set(re.findall(r'\.id = "([^"]+)"', "".join(PARTS.values())))
    there = set(re.findall(r'\bid="([^"]+)"', PARTS["index.html"])) | made
    assert set(re.findall(r'\bat\("([^"]+)"\)', PARTS[name])) <= there


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_part_is_short_enough_to_be_read(name: str) -> None:
    assert PARTS[name].count("\n") <= 400


HUES = dict(re.findall(r"--(\w+): #([0-9a-f]{6});", PARTS["page.css"]))

# Machado, Oliveira and Fernandes 2009, "A physiologically-based model for simulation of color vision deficiency",
# severity 1: on linear RGB.
SEEN_BY = {
    "everybody else": np.eye(3),
    "protanopes": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopes": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopes": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(hue: str) -> npt.NDArray[np.float64]:
    """A colour of the page as linear RGB (IEC 61966-2-1)."""
    shown = np.array([int(HUES[hue][at : at + 2], 16) / 255 for at in (0, 2, 4)])
    return np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)


def lab(rgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """CIELAB under D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb.clip(0, 1)
    ratio = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("ground", ["ground", "panel", "raised"])
@pytest.mark.parametrize("hue", sorted(set(HUES) - {"ground", "panel", "raised", "line"}))
def test_every_text_stands_out_from_its_ground(hue: str, ground: str) -> None:
    light, dark = (float(linear(one) @ (0.2126, 0.7152, 0.0722)) for one in (hue, ground))
    assert (light + 0.05) / (dark + 0.05) >= 4.5, "WCAG 2.2, 1.4.3"


@pytest.mark.parametrize("who", SEEN_BY)
def test_what_is_well_and_what_is_not_look_apart_to_all_eyes(who: str) -> None:
    seen = {hue: lab(SEEN_BY[who] @ linear(hue)) for hue in ("good", "warn", "bad", "critical", "low")}
    for one, other in (("good", "bad"), ("good", "critical"), ("good", "warn"), ("warn", "bad"), ("low", "critical")):
        assert np.linalg.norm(seen[one] - seen[other]) > 20, f"{one} and {other}"
