import gc
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from flare.rollout.buffers import BufferHandle, RolloutBuffer
from tests.rollout.small_buffer import shm_entries, small_buffer


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
