import multiprocessing
import os
import signal
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest

from flare.rollout.buffers import BufferHandle, Command, RolloutBuffer, SlotState, WorkerSlot
from tests.rollout.small_buffer import shm_entries, small_buffer

SPAWN = multiprocessing.get_context("spawn")


def start_worker(target, *args):
    process = SPAWN.Process(target=target, args=args, daemon=True)
    process.start()
    return process


def stamp_worker(handle, env):
    """Writes the action into every word of the frame, and the frame's checksum into the facts."""
    buffer = RolloutBuffer.attach(handle)
    frames, actions = buffer.array("frames"), buffer.array("actions")
    sums = buffer.array("facts")["room"].view(np.uint32)
    words = frames.reshape(*frames.shape[:2], -1).view(np.uint32)
    with WorkerSlot(buffer, env) as slot:
        for request in slot.requests():
            words[request.step + 1, env] = actions[request.step, env]
            sums[request.step + 1, env] = zlib.crc32(words[request.step + 1, env])


@pytest.mark.slow
def test_eight_processes_tear_no_slot():
    """Each slot's frame must be whole, its checksum right, and belong to the action
    that was sent for it."""
    num_envs, num_steps, rounds = 8, 25, 500  # 100k steps
    buffer = small_buffer(num_envs, num_steps)
    workers = [start_worker(stamp_worker, buffer.handle(), env) for env in range(num_envs)]
    frames, actions = buffer.array("frames"), buffer.array("actions")
    sums = buffer.array("facts")["room"].view(np.uint32)
    step_of = np.zeros(num_envs, np.int64)
    total = num_steps * rounds
    actions[0] = np.arange(num_envs)
    buffer.send_actions(range(num_envs), 0)
    done = 0
    while done < num_envs * total:
        ready, dead = buffer.wait_ready(1, timeout=60)
        assert ready.size and not dead.size
        for env in ready:
            t = int(step_of[env])
            row = t % num_steps
            frame = frames[row + 1, env].ravel().view(np.uint32)
            expected = np.uint32(actions[row, env])
            assert sums[row + 1, env] == zlib.crc32(frame)
            assert frame[0] == expected and (frame == expected).all()
        step_of[ready] += 1
        done += ready.size
        going = ready[step_of[ready] < total]
        rows = step_of[going] % num_steps
        actions[rows, going] = step_of[going] * num_envs + going
        buffer.send_actions(going, rows)
    buffer.send_actions(range(num_envs), 0, Command.CLOSE)
    for worker in workers:
        worker.join(20)
        assert worker.exitcode == 0


def stall_in_mid_write(handle, env):
    buffer = RolloutBuffer.attach(handle)
    slot = WorkerSlot(buffer, env)
    request = slot.wait_action()
    frame = buffer.array("frames")[request.step + 1, env]
    frame.ravel()[: frame.size // 2] = 1
    while True:
        time.sleep(1)


def wait_for_state(buffer, env, state):
    limit = time.monotonic() + 20
    while buffer.state(env) is not state:
        assert time.monotonic() < limit, f"slot {env} never came to {state.name}"
        time.sleep(0.005)


def test_a_worker_killed_in_mid_write_is_noticed_and_replaced():
    before = shm_entries()
    buffer = small_buffer()
    workers = [
        start_worker(stall_in_mid_write, buffer.handle(), 0),
        start_worker(stamp_worker, buffer.handle(), 1),
    ]
    buffer.array("actions")[0] = 5
    buffer.send_actions([0, 1], 0)
    wait_for_state(buffer, 0, SlotState.WORKING)
    wait_for_state(buffer, 1, SlotState.OBSERVATION_READY)
    os.kill(workers[0].pid, signal.SIGKILL)
    start = time.monotonic()
    ready, dead = buffer.wait_ready(2, timeout=20)
    assert time.monotonic() - start < 1
    assert ready.tolist() == [1] and dead.tolist() == [0]
    buffer.reclaim(0)
    workers.append(start_worker(stamp_worker, buffer.handle(), 0))
    buffer.send_actions([0, 1], 0)
    assert buffer.wait_ready(2, timeout=20).ready.tolist() == [0, 1]
    assert (buffer.array("frames")[1].reshape(2, -1).view(np.uint32) == 5).all()
    for worker in workers:
        worker.kill()
        worker.join()
    assert shm_entries() == before


def test_a_death_is_noticed_while_others_keep_the_policy_busy():
    buffer = small_buffer()
    idle = start_worker(stall_in_mid_write, buffer.handle(), 0)
    busy = start_worker(stamp_worker, buffer.handle(), 1)
    buffer.send_actions([0, 1], 0)
    wait_for_state(buffer, 0, SlotState.WORKING)
    idle.kill()
    start = time.monotonic()
    dead = []
    while not dead and time.monotonic() - start < 10:
        ready, dead_now = buffer.wait_ready(1, timeout=10)
        dead = dead_now.tolist()
        buffer.send_actions(ready, 0)
    assert dead == [0] and time.monotonic() - start < 1
    busy.kill()
    busy.join()


def test_a_worker_that_dies_before_it_attaches_is_noticed():
    buffer = small_buffer()
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    buffer.expect_worker(0, child.pid)
    with pytest.raises(RuntimeError, match="slot 0 waits for process"):
        WorkerSlot(buffer, 0)
    buffer.send_actions([0], 0)
    assert buffer.wait_ready(1, timeout=20).dead.tolist() == [0]
    buffer.reclaim(0)
    assert buffer.state(0) is SlotState.IDLE
    child.wait()


OWNER = """
import sys, time
from flare.rollout.buffers import ArraySpec, RolloutBuffer
buffer = RolloutBuffer.create([ArraySpec("x", "f4", (4,))], 1)
print(buffer.handle().to_text(), flush=True)
time.sleep(60)
"""


def test_workers_notice_that_the_trainer_was_killed_and_no_memory_stays():
    before = shm_entries()
    trainer = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    slot = WorkerSlot(RolloutBuffer.attach(BufferHandle.from_text(trainer.stdout.readline())), 0)
    assert slot.wait_action(0.05) is None
    trainer.kill()
    trainer.wait()
    trainer.stdout.close()
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="which made the rollout buffer, is gone"):
        next(slot.requests())
    assert time.monotonic() - start < 1
    assert shm_entries() == before
