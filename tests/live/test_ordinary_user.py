"""What an ordinary user meets: priority that cannot be given back, a desktop's limit with it, processes that hang."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rtdenoise.live_audio.doctor import FAILED, examine
from tests.live import lowered
from tests.live.conftest import may_run_in_real_time
from tests.live.test_faults import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="schedulers, limits and capabilities of Linux")

STATE = """
import json, os, resource
print(json.dumps([os.sched_getscheduler(0), resource.getrlimit(resource.RLIMIT_RTTIME)[1]]))
"""
DOCTOR = """
from rtdenoise.live_audio import doctor
print(json.dumps(doctor._priority().found))
"""
PACED = """
import rtdenoise
from rtdenoise.bench import measure
inside = []
def work(due, period, times):
    inside.append(os.sched_getscheduler(threading.get_native_id()) & ~os.SCHED_RESET_ON_FORK)
found = measure.paced_run(work, rtdenoise.build("bypass", sample_rate=16000, preset="low"), 0.2)
print(json.dumps([inside[0], found["priority"]]))
"""
BUSCTL = """#!/bin/sh
# hands the thread and the priority, the last two words, to the service and waits for its answer
for word; do thread=$priority; priority=$word; done
cd {folder}
echo $thread $priority > asked
read answer < answered
"""


def state_around(code: str, **variables: str) -> tuple[object, list[int]]:
    """What `code` printed in such a process, and that process's scheduler and limit afterwards."""
    done = lowered.run("import json, os, threading\n" + code + STATE, **variables)
    assert done.returncode == 0, (done.returncode, done.stderr)
    said, state = done.stdout.splitlines()
    return json.loads(said), json.loads(state)


@pytest.fixture
def desktop(tmp_path):
    """Variables for a user without the permission, on a desktop whose service, here a thread, grants it."""
    if os.geteuid() != 0 or not may_run_in_real_time():
        pytest.skip("only root can stand in for the service")
    (tmp_path / "busctl").write_text(BUSCTL.format(folder=tmp_path), encoding="ascii")
    (tmp_path / "busctl").chmod(0o755)
    os.mkfifo(tmp_path / "asked")
    os.mkfifo(tmp_path / "answered")
    threading.Thread(target=serve_once, args=(tmp_path,), daemon=True).start()
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOWERED_RTPRIO": "0"}


def serve_once(folder: Path) -> None:
    thread, priority = map(int, (folder / "asked").read_text().split())
    os.sched_setscheduler(thread, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    (folder / "answered").write_text("granted\n")


@pytest.fixture
def granted():
    """That such a process may have priority 70 by its limit."""
    done = lowered.run("import resource; print(resource.getrlimit(resource.RLIMIT_RTPRIO)[0])")
    if 0 <= int(done.stdout) < 70:
        pytest.skip("the limit RTPRIO is below 70 and may not be raised here")


@pytest.mark.usefixtures("granted")
def test_doctor_leaves_itself_as_it_was_where_priority_cannot_be_given_back():
    found, (policy, limit) = state_around(DOCTOR)
    assert found == "SCHED_FIFO 70"
    assert (policy, limit) == (os.SCHED_OTHER, -1)


def test_doctor_is_not_left_with_the_limit_that_a_desktop_wants(desktop):
    found, (policy, limit) = state_around(DOCTOR, **desktop)
    assert found == "rtkit, priority 15"
    assert (policy, limit) == (os.SCHED_OTHER, -1)


@pytest.mark.usefixtures("granted")
def test_a_paced_run_ends_with_its_priority():
    (inside, said), (policy, _) = state_around(PACED)
    assert (inside, said) == (os.SCHED_FIFO, "SCHED_FIFO 70")
    assert policy == os.SCHED_OTHER


def test_a_paced_run_ends_with_the_priority_of_a_desktop(desktop):
    """Whoever has real-time priority and the limit is killed when it computes for .2 s, as the next measurements do."""
    (inside, said), (policy, _) = state_around(PACED, **desktop)
    assert (inside, said) == (os.SCHED_RR, "rtkit, priority 15")
    assert policy == os.SCHED_OTHER


def test_a_method_that_cannot_run_is_named_with_a_remedy():
    finding = list(examine(("XX",), 0.5))[-1]
    assert (finding.name, finding.state) == ("method XX", FAILED)
    assert finding.found and finding.remedy


def test_a_question_that_hangs_ends_with_who_asked(tmp_path):
    note = tmp_path / "process"
    asks = "from rtdenoise.child.questions import ask; ask('tests.live.hanging', {!r}, timeout_seconds=99, what='')"
    asking = subprocess.Popen([sys.executable, "-c", asks.format(str(note))], cwd=Path(__file__).parents[2])
    wait_until(lambda: note.exists() and note.read_text(), 30.0)
    hanging = Path("/proc", note.read_text())
    assert hanging.exists()
    asking.send_signal(signal.SIGKILL)
    asking.wait(5)
    wait_until(lambda: not hanging.exists(), 5.0)
