"""Comparisons of two policies, by hand and from the command line."""

import json

import numpy as np
import pytest

from flare import cli
from flare.errors import UserError
from flare.evaluation.comparison import compare_seeds
from flare.evaluation.statistics import interquartile_mean_of_seeds
from tests.evaluation.test_summary import _record


def evaluation(wins, **changes):
    return [_record(i, bool(w), **changes) for i, w in enumerate(wins)]


def write(folder, records, name="eval"):
    (folder / "eval").mkdir(parents=True)
    (folder / "eval" / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return folder


def test_one_seed_by_hand():
    before = evaluation([1, 0, 0, 0], stage="before")
    after = evaluation([0, 1, 1, 0])
    result = compare_seeds([(before, after)])
    (seed,) = result["seeds"]
    assert (seed["gained"], seed["lost"], seed["neither"]) == ([1, 2], [0], 1)
    assert seed["by_task"] == []  # there is one
    assert result["difference"]["estimate"] == pytest.approx(0.25)
    assert result["before"]["estimate"] == pytest.approx(0.25)
    assert result["after"]["estimate"] == pytest.approx(0.5)


def test_tasks_are_compared_apart():
    tasks = ["ObjectNav", "Fetch"] * 3
    before = [r | {"task": t} for r, t in zip(evaluation([0] * 6), tasks, strict=True)]
    after = [r | {"task": t} for r, t in zip(evaluation([1, 0] * 3), tasks, strict=True)]
    (seed,) = compare_seeds([(before, after)])["seeds"]
    assert [(g["key"], g["n"], g["only_after"]) for g in seed["by_task"]] == [
        ("Fetch", 3, 0), ("ObjectNav", 3, 3)
    ]  # fmt: skip


def test_seeds_together_weigh_the_middle():
    """Three seeds weigh 1 : 4 : 1, so that one that failed does not decide."""
    rng = np.random.default_rng(0)
    values = np.stack([rng.random(400) < p for p in (0.1, 0.6, 0.62)])
    found = interquartile_mean_of_seeds(values)
    means = np.sort(values.mean(1))
    assert found.estimate == pytest.approx((means[0] + 4 * means[1] + means[2]) / 6)
    assert found.low < found.estimate < found.high
    assert found.high - found.low < 0.12
    assert found == interquartile_mean_of_seeds(values)
    with pytest.raises(ValueError, match="seeds, episodes"):
        interquartile_mean_of_seeds([1.0, 2.0])


def test_the_command_says_what_the_json_holds(tmp_path, capsys):
    folders = [
        write(tmp_path / name, evaluation(wins, stage=name[0]))
        for name, wins in (("a1", [1, 0, 0, 0]), ("a2", [0, 0, 1, 0]), ("b1", [1, 1, 1, 0]),
                           ("b2", [0, 1, 1, 1]))
    ]  # fmt: skip
    words = [str(folder) for folder in folders]
    assert cli.main(["compare", words[0], words[2]]) == 0
    text = capsys.readouterr().out
    assert "difference +50.0 [" in text and "2 gained, 0 lost of 4" in text
    out = tmp_path / "result.json"
    assert cli.main(["compare", *words[:2], "--to", *words[2:], "--out", str(out)]) == 0
    text = capsys.readouterr().out
    result = json.loads(out.read_text())
    assert result["difference"]["estimate"] == pytest.approx(0.5)
    assert "interquartile mean of 2 seeds:\n  before 25.0 % [" in text
    assert "\n  difference +50.0 [" in text
    assert cli.main(["compare", words[0], words[2], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seeds"][0]["only_after"] == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a1"], "1 evaluations are named"),
        (["a1", "a2", "--to", "b1"], "1 evaluations are to be compared with 2"),
        (["a1", "absent"], "cannot read"),
        (["a1", "short"], "2 episodes are in one evaluation only"),
    ],
)
def test_bad_input(words, told, tmp_path, capsys):
    for name, wins in (("a1", [1, 0, 0]), ("a2", [0, 1, 1]), ("b1", [1, 1, 1]), ("short", [1])):
        write(tmp_path / name, evaluation(wins))
    words = [w if w.startswith("-") else str(tmp_path / w) for w in words]
    assert cli.main(["compare", *words]) == 2
    assert told in capsys.readouterr().err


def test_seeds_of_different_size_are_refused():
    pairs = [(evaluation([1] * n), evaluation([1] * n)) for n in (3, 4)]
    with pytest.raises(UserError, match="different numbers of episodes"):
        compare_seeds(pairs)


def test_a_plan_says_how_many_episodes_a_precision_needs(tmp_path, capsys):
    words = ["eval", str(tmp_path), "--houses", str(tmp_path), "--plan"]
    assert cli.main([*words, "0.05"]) == 0
    assert capsys.readouterr().out == "--num-episodes 381: success known to ±5 points (95 %)\n"
    assert cli.main([*words, "0.7"]) == 2
    assert "use a share between 0 and 0.5" in capsys.readouterr().err
