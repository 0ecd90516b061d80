"""The operator page comes whole with the program, asks nobody else, and makes no markup of what others say."""

import asyncio
import re
from importlib.resources import files

import httpx
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
