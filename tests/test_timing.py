import time

import pytest

from flare import timing
from flare.timing import Timer


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only by hand."""

    class Clock:
        now = 100.0

        def advance(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock.now)
    return clock


def test_nested_blocks_add_up_under_joined_names(clock):
    timer = Timer()
    for _ in range(2):
        with timer("update"):
            clock.advance(1.0)
            with timer("forward"):
                clock.advance(2.0)
    with timer("simulate"):
        clock.advance(3.0)
    assert timer.seconds() == {"update": 6.0, "update/forward": 4.0, "simulate": 3.0}
    assert timer.counts() == {"update": 2, "update/forward": 2, "simulate": 1}
    assert timer.split() == {"update": pytest.approx(2 / 3), "simulate": pytest.approx(1 / 3)}
    assert timer.elapsed == 9.0


def test_parents_come_first_in_the_tree(clock):
    timer = Timer()
    with timer("update"), timer("backward"):
        clock.advance(1.0)
    clock.advance(1.0)
    first, second = timer.tree().splitlines()
    assert first.split() == ["update", "1.000", "s", "50.0%", "1×"]
    assert second.split() == ["backward", "1.000", "s", "100.0%", "1×"]


def test_an_error_inside_a_block_closes_it(clock):
    timer = Timer()
    with pytest.raises(KeyError), timer("update"):
        clock.advance(1.0)
        raise KeyError
    with timer("update"):
        pass
    assert timer.seconds() == {"update": 1.0}


def test_reset_forgets_and_refuses_an_open_block(clock):
    timer = Timer()
    timer.add("simulate", 2.0)
    timer.reset()
    assert timer.seconds() == {}
    assert timer.split() == {}
    with timer("update"), pytest.raises(RuntimeError, match="update"):
        timer.reset()


def test_add_counts_below_the_open_block():
    timer = Timer()
    with timer("collect"):
        timer.add("render", 0.5)
    assert timer.seconds()["collect/render"] == 0.5


def test_a_block_is_cheap():
    timer = Timer()
    begin = time.perf_counter()
    for _ in range(1000):
        with timer("step"):
            pass
    assert (time.perf_counter() - begin) / 1000 < 100e-6


@pytest.mark.gpu
def test_gpu_blocks_measure_the_gpus_work():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    timer = Timer("cuda")
    x = torch.randn(4096, 4096, device="cuda")
    with timer("matmul"):
        for _ in range(20):
            x = x @ x
    assert timer.seconds()["matmul"] > 1e-3
