"""Law: a solver in a process of its own can do what it likes to that process; its caller gets an answer."""

import ctypes
import faulthandler
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sciencegen.solvers import Isolated, SolverResult, Status

ROOT = Path(__file__).parents[1]


def answer(**values) -> SolverResult:
    return SolverResult(Status.CONVERGED, values)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def test_the_answer_is_the_solvers_own_whatever_its_size():
    x = np.arange(300_000.0)
    found = Isolated(lambda x: SolverResult(Status.UNCONVERGED, {"n": len(x)}, {"y": 2 * x}, 1.5, "words"))(x=x)
    assert (found.status, found["n"], found.wall_s, found.log) == ("unconverged", len(x), 1.5, "words")
    np.testing.assert_array_equal(found.fields["y"], 2 * x)


def test_it_is_another_process_and_the_callers_is_untouched():
    seen = []
    found = Isolated(lambda: (seen.append(1), answer(pid=os.getpid()))[1])()
    assert found["pid"] != os.getpid()
    assert seen == []


@pytest.mark.parametrize("end, words", [
    (lambda: os._exit(3), "exit status 3 and left no answer"),
    (lambda: os.kill(os.getpid(), signal.SIGKILL), "died of SIGKILL"),
    (lambda: (faulthandler.disable(), ctypes.string_at(0)), "died of SIGSEGV"),
    (lambda: sys.exit(4), "SystemExit: 4"),
    (lambda: 1 / 0, "ZeroDivisionError"),
    (lambda: os._exit(0), "exit status 0 and left no answer"),
])  # fmt: skip
def test_a_process_that_dies_says_of_what(end, words):
    found = Isolated(end)()
    assert found.status == "crashed"
    assert words in found.log


@pytest.mark.parametrize("end, lost", [
    (lambda: os.kill(os.getpid(), signal.SIGKILL), True),  # as a kernel does that is out of memory
    (lambda: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(60)), True),  # as a scheduler does whose time is up
    (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)) or answer(y=np.ones(9)), True),  # no room for the answer
    (lambda: (faulthandler.disable(), os.abort()), False),
    (lambda: os._exit(0), False),
    (lambda: sys.exit(4), False),
    (lambda: os.closerange(3, 100) or answer(y=1.0), False),
])  # fmt: skip
def test_an_answer_that_never_came_is_told_from_a_crash(end, lost):
    found = Isolated(end)()
    assert (found.status, found.lost) == ("crashed", lost)
    assert found.wall_s > 0


@pytest.mark.parametrize("own_session", [False, True])
@pytest.mark.parametrize("end", [answer, lambda: (faulthandler.disable(), os.abort()), lambda: 1 / 0])
def test_what_a_case_started_ends_with_it_however_that_ends(tmp_path, own_session, end):
    def solver():
        program = subprocess.Popen(["sleep", "600"], start_new_session=own_session)
        (tmp_path / "pid").write_text(str(program.pid))
        return end()

    Isolated(solver)()
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_case_in_a_case_is_swept_with_it(tmp_path):
    def inner():
        program = subprocess.Popen(["sleep", "600"], start_new_session=True)
        (tmp_path / "pid").write_text(str(program.pid))
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)

    assert Isolated(Isolated(inner))().lost
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_solver_that_comes_back_twice_answers_once():
    assert Isolated(lambda: answer(pid=os.getpid(), child=os.fork() == 0))()["child"] == 0


def test_the_time_is_measured():
    assert 0.1 <= Isolated(lambda: (time.sleep(0.1), answer())[1])().wall_s < 10


def test_a_hanging_solver_is_ended_with_what_it_started(tmp_path):
    def hang():
        program = subprocess.Popen(["sleep", "600"], start_new_session=True)
        (tmp_path / "pid").write_text(str(program.pid))
        try:
            program.wait()
        finally:
            program.kill()

    found = Isolated(hang, timeout=0.5)()
    assert (found.status, found.log) == ("timeout", "stopped after 0.5 s")
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_solver_that_will_not_end_is_killed():
    def deaf():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(1)

    assert Isolated(deaf, timeout=0.2)().status == "timeout"


def test_one_that_has_ended_is_not_asked_to():
    """Its number may be another process's by now."""
    child = Isolated(answer).start({})
    while child.poll() is None:
        time.sleep(0.01)
    child.ask()
    child.end()
    assert child.code == 0


@pytest.mark.parametrize("deaf", [False, True])
def test_it_ends_with_what_it_started_when_its_caller_is_gone(tmp_path, deaf):
    script = (
        "import os, signal, subprocess, time\nfrom pathlib import Path\nfrom sciencegen.solvers import Isolated\n"
        "def hang():\n"
        f"    {'signal.signal(signal.SIGTERM, signal.SIG_IGN)' if deaf else ''}\n"
        "    program = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "    Path('new').write_text(f'{os.getpid()} {program.pid}')\n    os.rename('new', 'pids')\n"
        "    time.sleep(600)\n"
        "Isolated(hang)()\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    while not (tmp_path / "pids").exists():
        assert caller.poll() is None
        time.sleep(0.02)
    caller.kill()
    caller.wait()
    assert all(gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan")])
def test_a_timeout_is_positive(timeout):
    with pytest.raises(ValueError, match="expected seconds above 0"):
        Isolated(answer, timeout)
