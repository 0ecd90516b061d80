"""The unit for systemd: systemd finds nothing wrong with it, and it fits how the daemon starts, stops and fails."""

import re
import subprocess
from pathlib import Path

import pytest
from programs import program

from monitor import cli, notify, service
from monitor.config import Config

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "framewatch@.service"


def values(name: str) -> list[str]:
    """What the unit says under *name*, once for each time."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), flags=re.MULTILINE)


def value(name: str) -> str:
    [found] = values(name)
    return found


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    """The unit of one camera, with a program that is here in place of the installed one."""
    path = tmp_path / "framewatch@melt.service"
    path.write_text(UNIT.read_text().replace("/opt/framewatch/bin/framewatch", "/bin/true"))
    return path


def analyze(*arguments: str) -> str:
    tool = program("systemd", "systemd-analyze")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_finds_nothing_wrong(instance: Path) -> None:
    assert analyze("verify", str(instance)).strip() == ""


def test_what_may_be_chosen_needs_no_more_than_its_comment_sign_taken_away(instance: Path) -> None:
    chosen, choices = re.subn(r"^#(?=[A-Z]\w*=)", "", instance.read_text(), flags=re.MULTILINE)
    assert choices >= 8
    instance.write_text(chosen)
    assert analyze("verify", str(instance)).strip() == ""


def test_what_it_is_exposed_to_is_ok(instance: Path) -> None:
    said = analyze("security", "--offline=true", "--no-pager", str(instance))
    found = re.search(r"Overall exposure level for framewatch@melt.service: ([\d.]+) (\w+)", said)
    assert found
    assert found[2] in ("OK", "SAFE", "PERFECT")


def test_it_starts_the_daemon_as_the_command_line_knows_it() -> None:
    program_path, *arguments = value("ExecStart").replace("%i", "melt").split()
    assert Path(program_path).name == "framewatch"
    assert cli._parser().parse_args(arguments).config == "/etc/framewatch/melt.yaml"


def test_a_wrong_configuration_is_not_tried_again_and_everything_else_is() -> None:
    assert value("Restart") == "on-failure"
    assert int(value("RestartPreventExitStatus")) == service.USAGE


def test_it_waits_longer_than_the_daemon_takes_to_stop_and_tells_the_supervisor_alone() -> None:
    stop_s = Config().drain_s + 10.0 + service.RECORDER_STOP_S + service.SIDE_STOP_S
    assert float(value("TimeoutStopSec")) > stop_s
    assert (value("KillMode"), value("KillSignal")) == ("mixed", "SIGTERM")


def test_the_watchdog_waits_longer_than_frames_may_lie_unjudged() -> None:
    assert value("Type") == "notify"
    assert float(value("WatchdogSec")) * 1e9 > 2 * notify.UNJUDGED_NS


def test_compiled_loops_may_be_executed_and_kept() -> None:
    assert value("MemoryDenyWriteExecute") == "no"
    assert "NUMBA_CACHE_DIR=/var/cache/framewatch/%i" in values("Environment")
    assert value("CacheDirectory") == "framewatch/%i"


def test_zeromq_may_look_addresses_up_among_interfaces() -> None:
    assert set(value("RestrictAddressFamilies").split()) == {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}


def test_two_instances_share_nothing_that_they_write() -> None:
    for name in ("StateDirectory", "CacheDirectory", "WorkingDirectory", "User"):
        assert "%i" in value(name), name
