import io
import re

import pytest

from flare import console as console_module
from flare.console import Console, duration

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 50.0

    clock = Clock()
    monkeypatch.setattr(console_module.time, "monotonic", lambda: clock.now)
    return clock


def run_two_stages(console, clock):
    with console:
        with console.stage("collect", total=2, unit="houses") as stage:
            clock.now += 1
            stage.update(advance=2)
        with console.stage("finetune", total=1000, unit="steps") as stage:
            for _ in range(3):
                clock.now += 4
                stage.update(
                    advance=100,
                    success=(0.41, 0.35, 0.47),
                    sps=2100.4,
                    split={"simulate": 0.5, "infer": 0.2, "update": 0.3},
                    note="lr 1e-4",
                )
        console.message("checkpoint saved")


def test_plain_lines_come_every_few_seconds(clock):
    out = io.StringIO()
    run_two_stages(Console("demo", file=out, plain_interval=5.0), clock)
    numbers = (
        "success 41.0% [35.0%, 47.0%] · 2,100 steps/s · simulate 50% infer 20% update 30% · lr 1e-4"
    )
    assert out.getvalue().splitlines() == [
        "demo",
        "collect: took 1 s · 2/2 houses (100%)",
        f"finetune: 8 s, 32 s left · 200/1,000 steps (20%) · {numbers}",
        f"finetune: took 12 s · 300/1,000 steps (30%) · {numbers}",
        "checkpoint saved",
    ]


def test_live_view_shows_stages_bar_numbers_and_message(clock):
    out = io.StringIO()
    run_two_stages(Console("demo", file=out, live=True), clock)
    assert "\x1b[" in out.getvalue()
    text = ANSI.sub("", out.getvalue())
    for part in (
        "✓ collect: took 1 s · 2/2 houses (100%)",
        "━",
        "0/1,000 steps (0%)",
        "success 41.0% [35.0%, 47.0%]",
        "simulate 50%",
        "checkpoint saved",
    ):
        assert part in text


def test_live_view_draws_the_current_stage(clock):
    console = Console("demo", file=io.StringIO(), live=True)
    with console, console.stage("finetune", total=100, unit="steps") as stage:
        clock.now += 10
        stage.update(advance=25)
        out = io.StringIO()
        console_module.RichConsole(file=out, width=120).print(console._view())
        assert "finetune ━━━━━━━━━━" in out.getvalue()
        assert "10 s, 30 s left" in out.getvalue()
        assert "25/100 steps (25%)" in out.getvalue()


def test_eta_after_resuming_counts_this_process_only(clock):
    with (
        Console("demo", file=io.StringIO()) as console,
        console.stage("finetune", total=100) as stage,
    ):
        stage.resume_at(80)
        assert stage.eta is None
        clock.now += 10
        stage.update(advance=5)
        assert stage.eta == pytest.approx(30.0)


def test_a_failed_stage_says_so_and_lets_the_error_pass(clock):
    out = io.StringIO()
    with (
        pytest.raises(KeyError),
        Console("demo", file=out) as console,
        console.stage("evaluate", unit="episodes") as stage,
    ):
        clock.now += 61
        stage.update(completed=3, success=0.5)
        raise KeyError
    assert out.getvalue().splitlines()[-1] == (
        "evaluate: stopped after 1:01 · 3 episodes · success 50.0%"
    )


def test_stages_do_not_nest():
    with (
        Console("demo", file=io.StringIO()) as console,
        console.stage("a"),
        pytest.raises(RuntimeError, match="'b' inside stage 'a'"),
        console.stage("b"),
    ):
        pass


def test_markup_in_messages_is_printed_as_it_is():
    out = io.StringIO()
    with Console("demo", file=out) as console:
        console.message("[red]path[/x] :smile:")
    assert out.getvalue().splitlines()[-1] == "[red]path[/x] :smile:"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1:00"), (7385, "2:03:05")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_unknown_success_is_left_out(clock):
    with Console("demo", file=io.StringIO()) as console, console.stage("finetune") as stage:
        stage.update(success=(float("nan"), 0.0, 1.0))
        assert stage.numbers() == "0"
