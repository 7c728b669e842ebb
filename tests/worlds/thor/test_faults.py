"""Every way a THOR process can fail, made to happen, and what it costs.

Each fault is real: a signal, a process that hangs, exits, leaks or sends nonsense. It may cost its
own env's episode and ten seconds of that slot, and nothing of another.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from flare.errors import UserError
from flare.worlds.thor import ThorWorlds
from flare.worlds.thor.worker_process import State, is_alive
from flare.worlds.world import all_env_ids
from tests.worlds.thor.made_worlds import Seat, left_overs, specs_of, thor_worlds

pytest.importorskip("ai2thor")

LONGEST = 10.0  # s of a slot that a fault may cost
ENV_0 = all_env_ids(1)


def recover(seat: Seat) -> float:
    """Start the failed env 0 again; seconds until it has stepped."""
    begin = time.monotonic()
    seat.reset(ENV_0)
    assert seat.step() == [False] * seat.worlds.num_envs
    return time.monotonic() - begin


def failed_step(seat: Seat, name: str = "rotate_right") -> float:
    """A step in which env 0 fails and no other; seconds it took."""
    other = seat.facts["step"][1:].copy()
    begin = time.monotonic()
    assert seat.step(name) == [True] + [False] * (seat.worlds.num_envs - 1)
    assert np.array_equal(seat.facts["step"][1:], other + 1)
    return time.monotonic() - begin


def worker_of(worlds: ThorWorlds, env: int = 0):
    return next(
        w for w in worlds.pool.workers if w.state is State.PLAYING and worlds.env_of(w) == env
    )


@pytest.mark.parametrize("victim", ["worker", "simulator"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_killed_process_costs_its_own_episode(tmp_path, victim, number):
    with thor_worlds(tmp_path) as worlds:
        seat = Seat(worlds)
        worker = worker_of(worlds)
        os.kill(worker.pid if victim == "worker" else worker.simulator_pid, number)
        time.sleep(0.2)
        assert failed_step(seat) + recover(seat) < LONGEST
        assert [f.worker for f in worlds.failures] == [worker.index]


def test_a_worker_may_be_killed_at_any_moment(tmp_path):
    """Kills at random times while episodes begin, play and end."""
    rng = np.random.default_rng(0)
    with thor_worlds(tmp_path, num_spares=1) as worlds:
        seat = Seat(worlds)
        killer = subprocess.Popen(["true"])
        for k in range(6):
            victim = worlds.pool.workers[int(rng.integers(3))]
            if victim.pid is not None:
                delay = float(rng.uniform(0, 0.3))
                killer.wait()
                killer = subprocess.Popen(
                    ["sh", "-c", f"sleep {delay}; kill -9 {victim.pid}"], stderr=subprocess.DEVNULL
                )
            begin = time.monotonic()
            for _ in range(15):
                failed = np.flatnonzero(seat.step()).astype(np.int32)
                if len(failed):
                    seat.reset(failed)
            worlds.announce(all_env_ids(2), specs_of(2, key=k))
            assert time.monotonic() - begin < LONGEST
        killer.wait()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("hang", "no answer within 3 s|timed out"),
        ("truncate", "no answer within 3 s|timed out"),
        ("garbage", "valid FieldType|KeyError|165"),
        ("exit", "has ended"),
        ("abort", "has ended"),
    ],
)
def test_a_simulator_that_fails_in_a_step(tmp_path, kind, reason):
    with thor_worlds(tmp_path, arguments=f"--fault {kind}@MoveAheadQuick") as worlds:
        seat = Seat(worlds)
        begin = time.monotonic()
        actions = np.array([0, 1])  # the first walks into its fault, the other turns
        worlds.step(actions, seat.frames, seat.facts)
        assert worlds.faulted.tolist() == [True, False]
        assert time.monotonic() - begin + recover(seat) < LONGEST
        assert re.search(reason, worlds.failures[0].reason), worlds.failures


@pytest.mark.parametrize("kind", ["hang", "exit", "garbage"])
def test_a_house_that_always_fails_is_left_out(tmp_path, kind):
    """Found by its second load; then its episodes cost one step and no process."""
    fault = f"--fault {kind}@CreateHouse=BAD"
    with thor_worlds(tmp_path, arguments=fault, house_failures=2, reset_timeout=2) as worlds:
        seat = Seat(worlds, specs_of(2, houses=(1, 0)))
        begin = time.monotonic()
        seat.specs["house"][0] = 2
        seat.reset(ENV_0)
        assert failed_step(seat) < 1
        assert time.monotonic() - begin < LONGEST
        assert worlds.quarantined == ["the bad house"]
        count = len(worlds.failures)
        begin = time.monotonic()
        seat.reset(ENV_0)
        assert failed_step(seat) + time.monotonic() - begin < 1
        assert len(worlds.failures) == count
        seat.specs["house"][0] = 0
        assert recover(seat) < LONGEST


def test_memory_beyond_the_cap_ends_the_process(tmp_path):
    with thor_worlds(tmp_path, arguments="--fault leak@RotateRightQuick", memory_cap_gb=0.5) as w:
        seat = Seat(w)
        begin = time.monotonic()
        while not any(seat.step()):
            assert time.monotonic() - begin < LONGEST
            time.sleep(0.02)
        assert "GiB of memory" in w.failures[0].reason
        failed = np.flatnonzero(w.faulted).astype(np.int32)
        seat.reset(failed)
        assert not any(seat.step("done"))


def test_old_processes_are_recycled_between_episodes(tmp_path):
    with thor_worlds(tmp_path, 1, max_episodes=2) as worlds:
        seat = Seat(worlds)
        pids = set()
        for _ in range(5):
            pids.add(worker_of(worlds).pid)
            seat.reset(ENV_0)
            assert seat.step() == [False]
        assert len(pids) >= 2 and worlds.pool.recycled >= 2 and worlds.failures == []


def test_a_lost_device_is_left_out(tmp_path, monkeypatch):
    """Device 1 does not exist any more: its workers move to device 0."""
    monkeypatch.setattr(
        "flare.worlds.thor.worlds.device_map", lambda wanted: {d: d for d in wanted}
    )
    with thor_worlds(
        tmp_path, arguments="--devices 1", gpu_devices=(0, 1), device_failures=2
    ) as worlds:
        begin = time.monotonic()
        seat = Seat(worlds)
        assert seat.step() == [False, False]
        assert worlds.lost_devices == [1]
        assert time.monotonic() - begin < 2 * LONGEST
        assert all("device 1 is lost" in f.reason or "ended" in f.reason for f in worlds.failures)


@pytest.mark.parametrize("kind", ["exit", "hang"])
def test_a_simulator_that_never_starts_is_told_of(tmp_path, kind):
    """It dies, or hangs, before it opens its pipe; the client alone would wait for ever."""
    with thor_worlds(tmp_path, 1, arguments=f"--fault {kind}@start", start_timeout=1.0) as worlds:
        begin = time.monotonic()
        with pytest.raises(UserError, match="AI2-THOR does not start"):
            Seat(worlds)
        assert time.monotonic() - begin < LONGEST


def test_starts_back_off(tmp_path):
    with thor_worlds(
        tmp_path, 1, arguments="--fault exit@start", first_backoff=0.2, longest_backoff=0.5
    ) as worlds:
        delays = []
        worker = worlds.pool.workers[0]
        while len(delays) < 4:
            count = len(worlds.failures)
            while len(worlds.failures) == count:
                worlds.pool.pump()
                time.sleep(0.01)
            delays.append(worker.start_after - time.monotonic())
        assert [round(d, 1) for d in delays] == [0.2, 0.4, 0.5, 0.5]


TRAINER = """
import sys, time
from pathlib import Path
from tests.worlds.thor.made_worlds import Seat, thor_worlds
with thor_worlds(Path(sys.argv[1]), num_spares=1) as worlds:
    seat = Seat(worlds)
    print("playing", flush=True)
    while True:
        seat.step()
"""


@pytest.mark.parametrize("moment", ["starting", "playing"])
def test_nothing_survives_a_killed_trainer(tmp_path, moment):
    trainer = subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(tmp_path)], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert trainer.stdout is not None
    if moment == "playing":
        assert trainer.stdout.readline() == "playing\n"
        simulators = left_overs(tmp_path)
        assert len(simulators) >= 4
    else:
        while not left_overs(tmp_path):
            time.sleep(0.02)
    children = [int(line.split()[0]) for line in left_overs(tmp_path)]
    trainer.kill()
    trainer.wait()
    trainer.stdout.close()
    end = time.monotonic() + 5
    while any(is_alive(pid) for pid in children) and time.monotonic() < end:
        time.sleep(0.02)
    assert [pid for pid in children if is_alive(pid)] == []
    assert left_overs(tmp_path) == []


def test_spares_hide_slow_houses(tmp_path):
    """With a spare per env a reset of an announced episode costs under 50 ms."""
    with thor_worlds(tmp_path, 1, arguments="--create-house-delay 1.5", num_spares=1) as worlds:
        seat = Seat(worlds)
        coming = specs_of(1, key=5, houses=(1,))
        worlds.announce(ENV_0, coming)
        begin = time.monotonic()
        while time.monotonic() - begin < 3:
            seat.step()
        seat.specs = coming
        begin = time.monotonic()
        seat.reset(ENV_0)
        assert time.monotonic() - begin < 0.05
        assert seat.step() == [False]
