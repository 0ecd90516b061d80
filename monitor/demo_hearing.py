"""What the demonstration hears of the daemon, and tells as it comes."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import zmq

from monitor import screen
from monitor.alarms.alarm import SERVICE_SOURCES, Alarm
from monitor.status import LOST_WHY
from monitor.voice import Heartbeat

CAMERA = "demo"
LAST_ALARMS_S = 1.0
TOLD_AFTER_S = 5.0


@contextlib.contextmanager
def subscribed(*endpoints: str) -> Iterator["zmq.Socket[bytes]"]:
    """A socket that hears alarms and heartbeats at *endpoints*."""
    context: zmq.Context[Any] = zmq.Context()
    listener = context.socket(zmq.SUB)
    for endpoint in endpoints:
        listener.connect(endpoint)
    for topic in (f"alarm.{CAMERA}", f"heartbeat.{CAMERA}"):
        listener.subscribe(topic.encode())
    try:
        yield listener
    finally:
        context.destroy(linger=0)


def wait_until_listening(
    listener: "zmq.Socket[bytes]",
    daemon: "subprocess.Popen[bytes]",
    patience_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> list[Alarm] | None:
    """Until a heartbeat says that the daemon has loaded its network: the alarms that came before it, None if it fails.

    Heartbeats and alarms come from two processes, so the first alarm may overtake the heartbeat.
    """
    early: list[Alarm] = []
    begun_s, told = clock(), False
    while (waited_s := clock() - begun_s) < patience_s and daemon.poll() is None:
        if waited_s > TOLD_AFTER_S and not told:
            told = True
            screen.say("      it compiles the loops that judge: once on a machine, and minutes long where that is busy")
        if listener.poll(200):
            topic, body = listener.recv_multipart()
            if topic.startswith(b"alarm"):
                early.append(msgspec.json.decode(body, type=Alarm))
                continue
            said = msgspec.json.decode(body, type=Heartbeat)
            if said.state != "starting" and said.why != LOST_WHY:  # one that died as it loaded is started again
                return early
    return None


def listen(listener: "zmq.Socket[bytes]", camera: "subprocess.Popen[bytes]", daemon: "subprocess.Popen[bytes]") -> bool:
    """Tell each alarm as it is raised, until the camera has ended.

    False where the *daemon* ends first: nobody is left to tell of any.
    """
    while camera.poll() is None:
        if daemon.poll() is not None:
            return False
        if (alarm := _heard(listener)) is not None:
            tell(alarm)
    return True


def listen_to_the_last(listener: "zmq.Socket[bytes]") -> None:
    """Tell the alarms of frames that were judged after the camera had ended; that it is silent is no news."""
    ends_s = time.monotonic() + LAST_ALARMS_S
    while time.monotonic() < ends_s:
        alarm = _heard(listener)
        if alarm is not None and alarm.source not in SERVICE_SOURCES:
            tell(alarm)


def _heard(listener: "zmq.Socket[bytes]") -> Alarm | None:
    """The next alarm, where one comes soon."""
    if not listener.poll(100):
        return None
    topic, body = listener.recv_multipart()
    return msgspec.json.decode(body, type=Alarm) if topic.startswith(b"alarm") else None


def tell(alarm: Alarm) -> None:
    """A line for an *alarm* that is new."""
    if alarm.rev == 1:
        screen.say(f"      {_told(alarm)}")


def _told(alarm: Alarm) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(alarm.raised_t_ns / 1e9))
    if alarm.source in SERVICE_SOURCES:
        return f"{clock}  {alarm.priority:<8} {alarm.source:<15} about the monitoring itself: {alarm.why}"
    peak = f"{alarm.peak.ratio:.1f} x its limit" if alarm.peak else "camera fault"
    where = f" at row {alarm.where[0]}, column {alarm.where[1]}" if alarm.where else ""
    layer = "" if alarm.layer is None else f", layer {alarm.layer}"
    return f"{clock}  {alarm.priority:<8} {alarm.source:<15} frame {alarm.first_seq:<7} {peak}{where}{layer}"
