import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from flare.rollout.buffers import (
    ArraySpec,
    BufferHandle,
    Command,
    RolloutBuffer,
    SlotState,
    WorkerSlot,
)

SPAWN = multiprocessing.get_context("spawn")
FACTS = np.dtype(
    {
        "names": ["pose", "room", "seen"],
        "formats": [("<f4", (3,)), "<i4", ("u1", (5,))],
        "offsets": [0, 16, 24],
        "itemsize": 32,
    }
)


def small_buffer(num_envs=2, num_steps=4, shared=None):
    specs = [
        ArraySpec("frames", np.uint8, (num_steps + 1, num_envs, 2, 6, 8, 3)),
        ArraySpec("facts", FACTS, (num_steps + 1, num_envs)),
        ArraySpec("actions", np.int32, (num_steps, num_envs)),
        ArraySpec("rewards", np.float32, (num_steps, num_envs)),
    ]
    return RolloutBuffer.create(specs, num_envs, shared)


def shm_entries():
    return set(os.listdir("/dev/shm"))


# --- arrays ---


def test_arrays_have_their_specs_and_start_zeroed_and_aligned():
    buffer = small_buffer()
    assert buffer.names == ("frames", "facts", "actions", "rewards")
    assert buffer.array("facts").dtype == FACTS
    assert buffer.array("frames").shape == (5, 2, 2, 6, 8, 3)
    for name in buffer.names:
        array = buffer.array(name)
        assert array.ctypes.data % 64 == 0
        assert not array.view(np.uint8).any()
    big = RolloutBuffer.create([ArraySpec("x", "f4", ()), ArraySpec("big", "u1", (9000,))], 1)
    assert big.array("big").ctypes.data % 4096 == 0


def test_arrays_and_tensors_outlive_the_buffer():
    buffer = small_buffer()
    rewards, row, tensor = (
        buffer.array("rewards"),
        buffer.array("rewards")[1],
        buffer.tensor("rewards"),
    )
    rewards[1] = 7
    del buffer, rewards
    gc.collect()
    assert row.tolist() == [7, 7] and tensor[1].tolist() == [7, 7]
    tensor[1, 0] = 3
    assert row.tolist() == [3, 7]


def test_an_unknown_array_names_those_that_exist():
    with pytest.raises(KeyError, match="no array 'obs'; the buffer has frames, facts"):
        small_buffer().array("obs")


@pytest.mark.parametrize(
    ("specs", "num_envs", "error", "message"),
    [
        ([], 1, ValueError, "at least one array"),
        ([ArraySpec("a", "f4", (1,))], 0, ValueError, "environments, got 0"),
        ([ArraySpec("a", "f4", (1,)), ArraySpec("a", "i4", (1,))], 1, ValueError, "two arrays"),
        ([ArraySpec("a b", "f4", (1,))], 1, ValueError, "array name 'a b'"),
        ([ArraySpec("a", "f4", (1,) * 9)], 1, ValueError, "9 axes"),
        ([ArraySpec("a", "f4", (2**40, 2**40))], 1, ValueError, "does not fit 64 bits"),
        ([ArraySpec("a", object, (1,))], 1, TypeError, "Python objects"),
        ([ArraySpec("a", "u1", (2**50,))], 1, OSError, r"wanted \d+ bytes .*left; use fewer"),
    ],
)
def test_bad_specs_are_refused(specs, num_envs, error, message):
    with pytest.raises(error, match=message):
        RolloutBuffer.create(specs, num_envs)


def test_a_named_buffer_too_large_for_dev_shm_says_so_and_leaves_nothing():
    before = shm_entries()
    with pytest.raises(OSError, match=r"wanted .* /dev/shm has .* left; enlarge it"):
        RolloutBuffer.create([ArraySpec("a", "u1", (2**50,))], 1, shared="flare-test-large")
    assert shm_entries() == before


# --- attaching ---


def test_attach_by_handle_shares_the_memory():
    buffer = small_buffer()
    handle = pickle.loads(pickle.dumps(buffer.handle()))
    assert len(pickle.dumps(handle)) < 200
    other = RolloutBuffer.attach(handle)
    buffer.array("facts")["pose"][1, 1] = [1, 2, 3]
    assert other.array("facts")["pose"][1, 1].tolist() == [1, 2, 3]
    inherited = RolloutBuffer.attach(handle.inherited())
    assert inherited.array("facts")["pose"][1, 1].tolist() == [1, 2, 3]


CHILD = """
import sys
from flare.rollout.buffers import BufferHandle, RolloutBuffer, WorkerSlot
buffer = RolloutBuffer.attach(BufferHandle.from_text(sys.argv[1]))
with WorkerSlot(buffer, 1) as slot:
    request = slot.wait_action(20)
    buffer.array("frames")[request.step + 1, 1] = buffer.array("actions")[request.step, 1]
    slot.finish_step()
assert "torch" not in sys.modules, "a worker pays for torch"
"""


@pytest.mark.parametrize("way", ["process", "inherited", "named"])
def test_a_subprocess_attaches_with_only_the_handle(way):
    before = shm_entries()
    buffer = small_buffer(shared=f"flare-test-{os.getpid()}" if way == "named" else None)
    handle = buffer.handle()
    fds = (handle.fd,) if way == "inherited" else ()
    text = (handle.inherited() if way == "inherited" else handle).to_text()
    child = subprocess.Popen([sys.executable, "-c", CHILD, text], pass_fds=fds)
    buffer.array("actions")[2, 1] = 42
    buffer.send_actions([1], 2)
    ready, dead = buffer.wait_ready(1, timeout=20)
    assert ready.tolist() == [1] and dead.tolist() == []
    assert (buffer.array("frames")[3, 1] == 42).all()
    assert not buffer.array("frames")[3, 0].any()
    assert child.wait(20) == 0
    del buffer
    gc.collect()
    assert shm_entries() == before


def test_a_stale_or_foreign_handle_is_refused():
    buffer = small_buffer()
    handle = buffer.handle()
    foreign = BufferHandle(handle.pid, handle.fd, "", handle.token ^ 2)
    with pytest.raises(OSError, match="another rollout buffer"):
        RolloutBuffer.attach(foreign)
    with pytest.raises(OSError, match="the creator must live"):
        RolloutBuffer.attach(BufferHandle(handle.pid, 987654, "", handle.token))
    with pytest.raises(OSError, match="its creator must live"):
        RolloutBuffer.attach(BufferHandle(0, 0, "flare-test-absent", 1))
    with pytest.raises(ValueError, match="not a buffer handle"):
        BufferHandle.from_text("12:x")


def test_memory_of_another_kind_or_version_is_refused(tmp_path):
    path = tmp_path / "block"
    path.write_bytes(b"\1" * 8192)
    with path.open("r+b") as file, pytest.raises(OSError, match="not a rollout buffer"):
        RolloutBuffer.attach(BufferHandle(0, file.fileno(), "", 1))
    buffer = small_buffer()
    content = bytearray(Path(f"/proc/self/fd/{buffer.handle().fd}").read_bytes())
    content[8:12] = (99).to_bytes(4, "little")
    path.write_bytes(content)
    with path.open("r+b") as file, pytest.raises(OSError, match="layout version 99"):
        RolloutBuffer.attach(BufferHandle(0, file.fileno(), "", buffer.handle().token))


# --- order of calls ---


def test_hand_over_in_one_process():
    buffer = small_buffer()
    with WorkerSlot(buffer, 0) as slot:
        assert slot.wait_action(0.01) is None
        buffer.send_actions([0], 3, Command.RESET)
        assert buffer.state(0) is SlotState.ACTION_READY
        assert buffer.wait_ready(0, 0).ready.size == 0
        assert slot.wait_action(1) == (Command.RESET, 3)
        assert buffer.state(0) is SlotState.WORKING
        slot.finish_step()
        assert buffer.wait_ready(1, 1).ready.tolist() == [0]
        assert buffer.state(0) is SlotState.IDLE


def test_calls_in_the_wrong_order_are_refused():
    buffer = small_buffer()
    with pytest.raises(RuntimeError, match="wants 1 environments but 0 have a request"):
        buffer.wait_ready(1, 0)
    slot = WorkerSlot(buffer, 0)
    with pytest.raises(RuntimeError, match="slot 0 already has a worker"):
        WorkerSlot(buffer, 0)
    with pytest.raises(RuntimeError, match="call wait_action first"):
        slot.finish_step()
    buffer.send_actions([0], 0)
    with pytest.raises(RuntimeError, match="slot 0 is action ready; its last request was not"):
        buffer.send_actions([1, 0], 0)
    assert buffer.state(1) is SlotState.IDLE, "a refused call changes nothing"
    with pytest.raises(RuntimeError, match="named twice"):
        buffer.send_actions([1, 1], 0)
    with pytest.raises(RuntimeError, match="wants 2 environments but 1 have a request"):
        buffer.wait_ready(2, 0)
    slot.wait_action(1)
    with pytest.raises(RuntimeError, match="call finish_step first"):
        slot.wait_action(1)
    with pytest.raises(RuntimeError, match="lives; end that process first"):
        buffer.reclaim(0)
    for env in (-1, 2):
        with pytest.raises(ValueError, match=f"environment {env} is not in"):
            buffer.send_actions([env], 0)
    with pytest.raises(ValueError, match="environment 2 is not in"):
        WorkerSlot(buffer, 2)


def test_a_timeout_returns_what_is_ready():
    buffer = small_buffer()
    slot = WorkerSlot(buffer, 1)
    buffer.send_actions([0, 1], 0)
    slot.wait_action(1)
    slot.finish_step()
    start = time.monotonic()
    assert buffer.wait_ready(2, timeout=0.2).ready.tolist() == [1]
    assert 0.15 < time.monotonic() - start < 5


def test_leaving_within_a_request_tells_the_policy_and_close_does_not():
    buffer = small_buffer()
    buffer.send_actions([0, 1], [0, 0], Command.STEP)
    with pytest.raises(ZeroDivisionError), WorkerSlot(buffer, 0) as slot:
        slot.wait_action(1)
        raise ZeroDivisionError
    ready, dead = buffer.wait_ready(2, timeout=5)
    assert ready.size == 0 and dead.tolist() == [0]
    with pytest.raises(RuntimeError, match="slot 0 is dead; reclaim it"):
        buffer.send_actions([0], 0)
    with WorkerSlot(buffer, 1) as slot:  # the request waited for its worker
        slot.wait_action(1)
        slot.finish_step()
        assert buffer.wait_ready(1, 1).ready.tolist() == [1]
        buffer.send_actions([1], 0, Command.CLOSE)
        assert slot.wait_action(1).command is Command.CLOSE
    assert buffer.state(1) is SlotState.IDLE
    assert buffer.wait_ready(0, 0).dead.size == 0


# --- other processes ---


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
        while (request := slot.wait_action()).command is not Command.CLOSE:
            words[request.step + 1, env] = actions[request.step, env]
            sums[request.step + 1, env] = zlib.crc32(words[request.step + 1, env])
            slot.finish_step()


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
        slot.wait_action(20)
    assert time.monotonic() - start < 1
    assert shm_entries() == before


def test_ctrl_c_ends_a_wait():
    buffer = small_buffer()
    buffer.send_actions([0], 0)
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            buffer.wait_ready(1, timeout=30)
        assert time.monotonic() - start < 2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
