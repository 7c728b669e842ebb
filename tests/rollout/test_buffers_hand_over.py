import contextlib
import signal
import time

import pytest

from flare.rollout.buffers import Command, Request, SlotState, WorkerSlot
from tests.rollout.small_buffer import small_buffer


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


def test_requests_hand_over_what_the_last_one_wrote_until_close():
    buffer = small_buffer()
    with WorkerSlot(buffer, 0) as slot:
        requests = slot.requests()
        assert iter(requests) is requests
        for step, command in ((3, Command.RESET), (1, Command.STEP)):
            buffer.send_actions([0], step, command)
            request = next(requests)
            assert type(request) is Request and request == (command, step)
            assert request.command is command and request.step == step
            assert buffer.state(0) is SlotState.WORKING
            if command is Command.RESET:
                buffer.send_actions([1], 0)  # the other slot's; nobody answers
                with pytest.raises(RuntimeError, match="call finish_step first"):
                    slot.wait_action(0)
                slot.finish_step()
            else:
                with alarm(0.1), pytest.raises(KeyboardInterrupt):
                    next(requests)  # hands over, then waits for what never comes
            assert buffer.wait_ready(1, 1).ready.tolist() == [0]
        buffer.send_actions([0], 0, Command.CLOSE)
        assert list(requests) == [] and next(requests, None) is None
    assert buffer.state(0) is SlotState.IDLE
    with pytest.raises(RuntimeError, match="the worker has left its slot"):
        next(slot.requests())


def test_requests_keep_what_they_need_and_free_it():
    buffer = small_buffer()
    slot = WorkerSlot(buffer, 0)
    requests = slot.requests()
    del slot
    buffer.send_actions([0], 2)
    assert next(requests).step == 2
    del requests  # the last hold: the slot is left with a request in hand
    assert buffer.wait_ready(1, 5).dead.tolist() == [0]


@contextlib.contextmanager
def alarm(seconds):
    """Ctrl-C after some seconds."""
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_ctrl_c_ends_a_wait():
    buffer = small_buffer()
    buffer.send_actions([0], 0)
    start = time.monotonic()
    with alarm(0.2), pytest.raises(KeyboardInterrupt):
        buffer.wait_ready(1, timeout=30)
    assert time.monotonic() - start < 2
