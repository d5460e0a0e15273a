"""Law: a directory has one holder; a dead one is known at once on its own machine, and by its silence from another."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from sciencegen.solvers.lock import Lock, locked

ROOT = Path(__file__).parents[1]
HOLD = "import sys, time\nfrom pathlib import Path\nfrom sciencegen.solvers.lock import locked\n" \
       "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)\n"


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True,
                               env=os.environ | {"PYTHONPATH": str(ROOT)})
    with process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_refused_until_the_holder_is_dead(tmp_path, holder):
    with pytest.raises(ValueError, match=f"in use by process {holder.pid} on {os.uname().nodename}; expected one run"):
        with locked(tmp_path):
            pass
    holder.send_signal(signal.SIGKILL)
    while b"Z" not in Path(f"/proc/{holder.pid}/stat").read_bytes().split()[2]:  # dead, and nobody has waited for it
        time.sleep(0.01)
    with locked(tmp_path) as lock:
        assert lock.held()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    for folder, words in [(tmp_path / "file", "File exists"), (tmp_path / "file/below", "Not a directory")]:
        with pytest.raises(ValueError, match=rf"got out=.*file.* \({words}\); expected a directory to write to"):
            with locked(folder):
                pass


def elsewhere(folder: Path) -> Path:
    """A lock of a process of another machine."""
    lock = Lock.mine(folder / ".lock")
    lock.create()
    about = json.loads(lock.path.read_text())
    lock.path.write_text(json.dumps(about | {"host": "node17", "pid": 4, "token": "other"}))
    return lock.path


def test_a_holder_elsewhere_lives_as_long_as_its_lock_is_touched(tmp_path):
    path, stop = elsewhere(tmp_path), []
    touching = Thread(target=lambda: [(os.utime(path), time.sleep(0.05)) for _ in iter(lambda: bool(stop), True)])
    touching.start()
    try:
        with pytest.raises(ValueError, match="in use by process 4 on node17; expected one run at a time"):
            with locked(tmp_path, patience=20):
                pass
    finally:
        stop.append(True)
        touching.join()
    with locked(tmp_path, patience=0.3) as lock:
        assert lock.held()


def test_a_lock_that_is_let_go_of_meanwhile_is_taken(tmp_path):
    path = elsewhere(tmp_path)
    leaving = Thread(target=lambda: (time.sleep(0.2), path.unlink()))
    leaving.start()
    with locked(tmp_path, patience=20) as lock:
        assert lock.held()
    leaving.join()


def test_a_half_written_lock_of_a_dead_holder_is_taken(tmp_path):
    (tmp_path / ".lock").write_text("{")
    with locked(tmp_path, patience=0.3) as lock:
        assert lock.held()


def test_a_holder_touches_its_lock_and_notices_that_it_lost_it(tmp_path):
    with locked(tmp_path, beat=0.05) as lock:
        before = lock.path.stat().st_mtime_ns
        deadline = time.monotonic() + 30
        while lock.path.stat().st_mtime_ns == before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert lock.path.stat().st_mtime_ns > before
        lock.path.unlink()
        elsewhere(tmp_path)
        assert not lock.held()
    assert Lock.found(tmp_path / ".lock").host == "node17"  # another's is left alone


def test_of_two_that_take_over_a_stale_lock_one_removes_it(tmp_path):
    stale = Lock.found(elsewhere(tmp_path))
    stale.remove()
    fresh = Lock.mine(tmp_path / ".lock")
    assert fresh.create()
    stale.remove()  # the second comes too late
    assert fresh.held()
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]
