import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from monitor.recorder.shelf import Shelf, name_of
from monitor.web.recordings import routes

TOKEN = "Bearer right"
NAME = name_of(1_795_000_000 * 10**9, "hot-1", 1)


class View:
    def __init__(self, folder: Path) -> None:
        self.shelf = Shelf(folder)

    def recordings(self) -> Shelf:
        return self.shelf


@pytest.fixture
def view(tmp_path: Path) -> View:
    folder = tmp_path / "kept"
    folder.mkdir()
    (tmp_path / "secret.h5").write_bytes(b"secret")
    made = View(folder)
    made.shelf.put(NAME, lambda path: path.write_bytes(b"frames"))
    return made


def ask(
    view: View, path: str, body: object = None, token: str | None = TOKEN, *, locked: bool = True
) -> httpx.Response:
    app = Starlette(routes=routes(view, (lambda given: given == TOKEN) if locked else None))

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            if body is None:
                return await client.get(f"/api/v1/recordings{path}")
            return await client.post(
                f"/api/v1/recordings{path}", json=body, headers={"Authorization": token} if token else {}
            )

    return asyncio.run(send())


def test_recordings_are_listed_and_given_out(view: View) -> None:
    (found,) = ask(view, "").json()["recordings"]
    assert (found["name"], found["nbytes"], found["pinned"]) == (NAME, 6, None)
    answer = ask(view, f"/{NAME}")
    assert (answer.status_code, answer.content) == (200, b"frames")
    assert answer.headers["content-type"] == "application/x-hdf5"
    assert NAME in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    "name",
    ["..%2fsecret.h5", "%2e%2e/secret.h5", "%2e%2e%2fsecret.h5", "secret.h5", f"{NAME}.pin", f".{NAME}.part", "%00"],
)
def test_nothing_else_is(view: View, name: str) -> None:
    answer = ask(view, f"/{name}")
    assert answer.status_code in (404, 405), "another path is another route, or none"
    assert ask(view, f"/{name}/pin", {"by": "ann"}).status_code in (404, 405)


def test_who_has_the_token_pins_and_unpins(view: View) -> None:
    answer = ask(view, f"/{NAME}/pin", {"by": "ann", "reason": "for the report", "t_ns": 7})
    pinned = answer.json()["pinned"]
    assert (answer.status_code, pinned["by"], pinned["reason"]) == (200, "ann", "for the report")
    assert pinned["t_ns"] > 7, "it is our clock that counts"
    assert ask(view, f"/{NAME}/unpin", {"by": "ann"}).json()["pinned"] is None


def test_nobody_else_does(view: View) -> None:
    assert ask(view, f"/{NAME}/pin", {"by": "ann"}, token="Bearer wrong").status_code == 401
    assert ask(view, f"/{NAME}/pin", {"by": "ann"}, token=None).status_code == 401
    assert ask(view, f"/{NAME}/pin", {"by": "ann"}, locked=False).status_code == 403
    assert ask(view, f"/{NAME}/pin", {"by": ""}).status_code == 400
    assert ask(view, f"/{NAME}/remove", {"by": "ann"}).status_code == 404
    assert view.shelf.pin_of(NAME) is None
