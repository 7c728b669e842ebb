import signal
import threading

import pytest

from flare.signals import STOP_SIGNALS, StopFlag, send_to_self


@pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: number.name)
def test_each_signal_sets_the_flag_and_handlers_come_back(number):
    before = [signal.getsignal(each) for each in STOP_SIGNALS]
    with StopFlag() as flag:
        assert not flag.requested
        assert flag.reason is None
        send_to_self(number)
        assert flag.requested
        assert flag.reason == number.name
    assert [signal.getsignal(each) for each in STOP_SIGNALS] == before


def test_second_interrupt_raises():
    with StopFlag() as flag:
        send_to_self(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send_to_self(signal.SIGINT)
        assert flag.requested


def test_interrupt_after_a_termination_request_raises_only_the_second_time():
    with StopFlag() as flag:
        send_to_self(signal.SIGTERM)
        send_to_self(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send_to_self(signal.SIGINT)
        assert flag.reason == "SIGTERM"


def test_request_sets_the_flag_without_a_signal():
    flag = StopFlag()
    flag.request()
    assert flag.requested


def test_other_threads_are_refused():
    problems = []

    def enter():
        try:
            with StopFlag():
                pass
        except RuntimeError as error:
            problems.append(str(error))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert "main thread" in problems[0]
