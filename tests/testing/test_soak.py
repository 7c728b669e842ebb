"""A short soak: real and generated houses, both robots; the long one is the same command."""

from pathlib import Path

import pytest

from flare.testing import soak
from flare.testing.watch import EpisodeWatch

# A few of each kind of real house; those of Objaverse objects and of one room are the largest sets.
REAL = {
    "objaverse_val.jsonl.gz": 2,
    "objaverse_train.jsonl.gz": 1,
    "thor_hard_val.jsonl.gz": 2,
    "thor_misc.jsonl.gz": 2,
    "thor_one_room_val.jsonl.gz": 2,
    "thor_tiny_val.jsonl.gz": 2,
    "holodeck_living_room.json": 1,
}


@pytest.mark.parametrize("name", REAL)
def test_real_houses_keep_their_promises(
    shared_dir: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(shared_dir / "houses" / name)
    options = ["--limit", str(REAL[name]), "--generated", "0", "--episodes", "20", "--steps", "50"]
    assert soak.main([file, *options]) == 0, capsys.readouterr().err
    assert "20 episodes (6 of locobot, 14 of stretch)" in capsys.readouterr().out


def test_generated_houses_keep_their_promises(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--generated", "8", "--episodes", "80", "--steps", "60", "--seed", "3"]
    assert soak.main(options) == 0, capsys.readouterr().err
    last = capsys.readouterr().out.splitlines()[-1]
    assert "80 episodes (24 of locobot, 56 of stretch) in 8 houses" in last
    assert ": 4800 steps" in last
    assert " 0 objects taken" not in last, "nothing is tested of what is carried"


def test_a_broken_promise_is_told_with_all_that_repeats_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(self: EpisodeWatch, env: int, facts: object, *rest: object) -> None:
        self._fail(env, "made up", facts)  # type: ignore[arg-type]

    monkeypatch.setattr(EpisodeWatch, "_judge_walk", breaks)
    assert soak.main(["--generated", "1", "--episodes", "2", "--steps", "3"]) == 1
    assert "BROKEN  env 0, generated 0 test 0, step 0, action -1: made up" in (
        capsys.readouterr().err
    )


def test_a_soak_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--generated", "0"]) == 2
    assert "generated" in capsys.readouterr().err
