"""What the API shows of alarms, and who may change them."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from daemon_example import beat, record, some_config, some_orders
from starlette.applications import Starlette

from monitor import eventlog
from monitor.alarms.acts import AcknowledgeAll, Asked, Record
from monitor.alarms.alarm import Alarm
from monitor.alarms.figures import Figures, figures
from monitor.alarms.modes import Modes
from monitor.desk import SETTLE_NS, Answer, Desk
from monitor.journal.reading import Told, Which
from monitor.journal.store import Journal
from monitor.recorder.shelf import Shelf, name_of
from monitor.sweep import Swept
from monitor.web.alarms import BODY_MAX, LISTS_AT_ONCE, routes

NOW_NS, T_NS = 10**12, 1_795_000_000 * 10**9
TOKEN = "Bearer right"
DEADLINE_S = 30.0


class Shown:
    """A desk with a real journal that steps whenever something is asked of it."""

    def __init__(self, folder: Path) -> None:
        config = some_config(folder)
        self._orders = some_orders(config)
        given, self.memory = self._orders.__enter__()
        beat(self.memory, NOW_NS)
        self.journal = Journal(Path(config.journal), config.camera)
        self.desk = Desk(given, self.memory, self.journal, NOW_NS, T_NS)
        self.now_ns = NOW_NS + SETTLE_NS
        self.shelf = Shelf(folder)

    def recordings(self) -> Shelf:
        return self.shelf

    def tell(self, *records: eventlog.EventRecord) -> None:
        for one in records:
            eventlog.append(self.memory.log, one)
        self.desk.step(self.now_ns, T_NS)

    def alarms(self, limit: int, which: Which | None) -> list[Alarm]:
        return self.journal.alarms(limit, which)

    def history(self, alarm_id: str) -> list[Told]:
        return self.journal.changes(alarm_id)

    def modes(self) -> Modes:
        return self.desk.life.modes

    def figures(self, first_t_ns: int, last_t_ns: int) -> Figures:
        return figures(self.journal.lived(first_t_ns, last_t_ns), first_t_ns, last_t_ns)

    def ask(self, target: str, asked: Asked) -> Answer:
        answer = self.desk.ask(target, asked)
        self.desk.step(self.now_ns, T_NS)
        return answer.result(0)

    def ask_all(self, asked: AcknowledgeAll) -> Swept:
        answer = self.desk.ask_all(asked)
        self.desk.step(self.now_ns, T_NS)
        return answer.result(0)

    def get(self, path: str) -> httpx.Response:
        return self._send("GET", path, {}, None, TOKEN)

    def post(self, path: str, body: Any, authorization: str | None = TOKEN, token: bool = True) -> httpx.Response:
        headers = {} if authorization is None else {"Authorization": authorization}
        return self._send("POST", path, headers, body, TOKEN if token else None)

    def _send(self, method: str, path: str, headers: dict[str, str], body: Any, token: str | None) -> httpx.Response:
        async def ask() -> httpx.Response:
            allowed = None if token is None else (lambda header: header == token)
            transport = httpx.ASGITransport(Starlette(routes=[*routes(self, allowed)]))
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                if isinstance(body, bytes):
                    return await client.request(method, path, headers=headers, content=body)
                return await client.request(method, path, headers=headers, json=body)

        return asyncio.run(ask())

    def close(self) -> None:
        self.journal.close()
        self._orders.__exit__(None, None, None)


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    made = Shown(tmp_path)
    yield made
    made.close()


@pytest.fixture
def raised(shown: Shown) -> str:
    """The id of an alarm that is open."""
    shown.tell(record("began"))
    return shown.alarms(1, None)[0].id


def test_an_alarm_is_acknowledged_with_a_verdict_and_the_journal_says_by_whom(shown: Shown, raised: str) -> None:
    body = {"by": "ann", "verdict": "true", "reason": "a splash"}
    answer = shown.post(f"/api/v1/alarms/{raised}/acknowledge", body)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["alarm"]["acked"], told["alarm"]["verdict"], told["journaled"]) == (True, "true", True)
    changes = shown.get(f"/api/v1/alarms/{raised}").json()["changes"]
    assert [(one["what"], one["by"], one["reason"]) for one in changes] == [
        ("raised", "", ""),
        ("acknowledged", "ann", "a splash"),
    ]


def test_of_a_recording_it_is_said_whether_the_file_is_still_there(shown: Shown, raised: str) -> None:
    def kept() -> Any:
        return shown.get(f"/api/v1/alarms/{raised}").json()["recording_kept"]

    assert kept() is None
    path = shown.shelf.folder / name_of(T_NS, "hot-1", 1)
    path.write_bytes(b"frames")
    shown.ask(raised, Record(str(path)))
    assert kept() is True
    path.unlink()
    assert kept() is False


def test_an_acknowledgement_leaves_on_the_alarm_socket(shown: Shown, raised: str) -> None:
    waiting = shown.desk.ask(raised, _acknowledge())
    [telegram] = shown.desk.step(shown.now_ns + 1, T_NS)
    assert b'"acked":true' in telegram.body
    assert waiting.result(0).refused is None


def _acknowledge() -> Asked:
    from monitor.alarms.acts import Acknowledge

    return Acknowledge("ann")


def test_a_source_is_shelved_and_put_back(shown: Shown, raised: str) -> None:
    assert shown.post("/api/v1/alarms/t2/shelve", {"by": "ann", "for_s": 60}).json()["alarm"]["shelved"]
    [mode] = shown.get("/api/v1/sources").json()["modes"]
    assert (mode["source"], mode["name"], mode["by"]) == ("t2", "shelved", "ann")
    answer = shown.post(f"/api/v1/alarms/{raised}/put-back", {"by": "ann", "mode": "shelved"})
    assert not answer.json()["alarm"]["shelved"]
    assert shown.get("/api/v1/sources").json() == {"modes": []}


def test_modes_survive_a_restart_of_the_side_process(shown: Shown) -> None:
    shown.post("/api/v1/alarms/t2/take-out", {"by": "ann", "reason": "broken"})
    again = Desk(shown.desk._orders, shown.memory, shown.journal, shown.now_ns, T_NS)
    assert list(again.life.modes) == [("t2", "out_of_service")]


ALL = "/api/v1/alarms/acknowledge"


def test_many_are_acknowledged_at_once_up_to_the_one_that_was_seen(shown: Shown) -> None:
    shown.tell(*(record("ended", event=event) for event in range(1, 6)))
    seen = shown.get("/api/v1/alarms?state=unacknowledged&limit=1").json()["alarms"][0]["id"]
    shown.tell(record("ended", event=6))
    answer = shown.post(ALL, {"by": "ann", "until": seen, "verdict": "false", "reason": "the lens was cleaned"})
    told = answer.json()
    assert (answer.status_code, told["acknowledged"], len(told["ids"]), told["journaled"]) == (200, 5, 5, True)
    assert [alarm.acked for alarm in shown.alarms(10, None)] == [False] + 5 * [True]
    again = shown.post(ALL, {"by": "ann", "until": seen})
    assert (again.status_code, again.json()) == (200, {"acknowledged": 0, "ids": [], "journaled": True})


def test_those_of_a_source_are_acknowledged_at_once(shown: Shown) -> None:
    shown.tell(record("ended"), record("ended", event=2, source="dark"))
    [last, *_] = shown.alarms(1, None)
    assert shown.post(ALL, {"by": "ann", "until": last.id, "source": "t2"}).json()["acknowledged"] == 1
    assert [alarm.source for alarm in shown.alarms(10, "unacknowledged")] == ["dark"]


def test_without_the_token_many_are_not_acknowledged_either(shown: Shown, raised: str) -> None:
    body = {"by": "ann", "until": raised}
    assert shown.post(ALL, body, "Bearer wrong").status_code == 401
    assert shown.post(ALL, body, token=False).status_code == 403
    assert not shown.alarms(1, None)[0].acked


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"by": "ann", "until": "nothing"}, 404),
        ({"by": "ann"}, 400),
        ({"until": "RAISED"}, 400),
        ({"by": "ann", "until": "RAISED", "source": "nothing"}, 400),
        ({"by": "ann", "until": "RAISED", "surprise": 1}, 400),
        (b"{", 400),
    ],
)
def test_what_makes_no_sense_for_many_is_refused_in_words(shown: Shown, raised: str, body: Any, status: int) -> None:
    if isinstance(body, dict) and "until" in body:
        body = {**body, "until": body["until"].replace("RAISED", raised)}
    answer = shown.post(ALL, body)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert not shown.alarms(1, None)[0].acked


@pytest.mark.parametrize("authorization", [None, "", "Bearer wrong", "Basic right", "right"])
def test_without_the_token_nothing_is_changed(shown: Shown, raised: str, authorization: str | None) -> None:
    answer = shown.post(f"/api/v1/alarms/{raised}/acknowledge", {"by": "ann"}, authorization)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert not shown.alarms(1, None)[0].acked


def test_where_no_token_is_configured_nothing_can_be_changed(shown: Shown, raised: str) -> None:
    answer = shown.post(f"/api/v1/alarms/{raised}/acknowledge", {"by": "ann"}, token=False)
    assert (answer.status_code, "http.token_file" in answer.json()["error"]) == (403, True)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/v1/alarms/nothing/acknowledge", {"by": "ann"}, 404),
        ("/api/v1/alarms/t2/explode", {"by": "ann"}, 404),
        ("/api/v1/alarms/t2/put-back", {"by": "ann", "mode": "shelved"}, 409),
        ("/api/v1/alarms/t2/shelve", {"by": "ann"}, 400),
        ("/api/v1/alarms/t2/shelve", {"by": "ann", "for_s": 0}, 400),
        ("/api/v1/alarms/t2/shelve", {"by": "ann", "for_s": 1e9}, 400),
        ("/api/v1/alarms/t2/shelve", {"by": "", "for_s": 5}, 400),
        ("/api/v1/alarms/t2/shelve", {"by": "ann", "for_s": 5, "surprise": 1}, 400),
        ("/api/v1/alarms/t2/take-out", {"by": "ann"}, 400),
        ("/api/v1/alarms/t2/shelve", b"{", 400),
        ("/api/v1/alarms/t2/shelve", b" " * (BODY_MAX + 1), 400),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(shown: Shown, path: str, body: Any, status: int) -> None:
    answer = shown.post(path, body)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_alarms_are_listed_by_state(shown: Shown) -> None:
    shown.tell(record("began"), record("ended"), record("began", event=2, source="frozen"))

    def listed(query: str) -> list[str]:
        return [alarm["source"] for alarm in shown.get(f"/api/v1/alarms{query}").json()["alarms"]]

    assert listed("") == ["frozen", "t2"]
    assert listed("?state=active") == ["frozen"]
    assert listed("?state=cleared&limit=1") == ["t2"]
    assert listed("?state=unacknowledged") == ["frozen", "t2"]
    assert shown.get("/api/v1/alarms?state=odd").status_code == 400


def test_few_lists_are_made_at_once_and_hold_up_no_other_answer(tmp_path: Path) -> None:
    class Slow(Shown):
        """Makes lists once it is allowed to."""

        allowed, lock, making, most = threading.Event(), threading.Lock(), 0, 0

        def alarms(self, limit: int, which: Which | None) -> list[Alarm]:
            with self.lock:
                self.making += 1
                self.most = max(self.most, self.making)
            assert self.allowed.wait(DEADLINE_S)
            with self.lock:
                self.making -= 1
            return []

    async def main(shown: Slow) -> None:
        transport = httpx.ASGITransport(Starlette(routes=[*routes(shown, None)]))
        async with (
            asyncio.timeout(DEADLINE_S),
            httpx.AsyncClient(transport=transport, base_url="http://here") as client,
        ):
            lists = [asyncio.create_task(client.get("/api/v1/alarms")) for _ in range(3 * LISTS_AT_ONCE)]
            while shown.making < LISTS_AT_ONCE:
                await client.get("/api/v1/figures")
            for _ in range(20):
                assert (await client.get("/api/v1/sources")).status_code == 200
            assert not any(one.done() for one in lists)
            shown.allowed.set()
            assert [one.status_code for one in await asyncio.gather(*lists)] == [200] * len(lists)
        assert shown.most == LISTS_AT_ONCE

    shown = Slow(tmp_path)
    asyncio.run(main(shown))
    shown.close()


def test_figures_are_those_of_the_hours_asked_for(shown: Shown, raised: str) -> None:
    found = shown.get("/api/v1/figures?hours=2").json()
    assert found["hours"] == pytest.approx(2)
    assert shown.get("/api/v1/figures?hours=87840").json()["alarms"] == 0, "of ten years, and the alarm is of 1970"
    assert [shown.get(f"/api/v1/figures?hours={hours}").status_code for hours in ("0", "87841")] == [400, 400]
