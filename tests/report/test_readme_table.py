"""The README's table comes from the runs' files."""

import json

import pytest

from flare.errors import UserError
from flare.report.readme_table import BEGIN, END, main, update_readme
from tests.report.synthetic_run import make_run, manifest


def _run(tmp_path, name, seed, **config):
    run = make_run(tmp_path / name, videos=0)
    (run / "manifest.json").write_text(json.dumps(manifest() | {"seed": seed, "seconds": 90.0}))
    (run / "config.json").write_text(json.dumps({"houses": None} | config))
    return run


def test_block_is_replaced_and_the_rest_kept(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\nrest\n")
    runs = [_run(tmp_path, "b", 10), _run(tmp_path, "a", 2)]
    update_readme(readme, runs)
    text = readme.read_text()
    assert text.startswith(f"# Title\n\n{BEGIN}\n| seed |") and text.endswith(f"{END}\nrest\n")
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert [row.split(" | ")[0] for row in rows] == ["| 2", "| 10"]
    update_readme(readme, runs)
    assert readme.read_text() == text


def test_row_shows_the_numbers_of_the_files(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n")
    run = _run(tmp_path, "a", 3, houses="/data/train.jsonl.gz")
    table = update_readme(readme, [run])
    cells = [cell.strip() for cell in table.splitlines()[2].strip("| ").split(" | ")]
    before, after = (
        json.loads((run / "eval" / f"{stage}.summary.json").read_text())["success"]
        for stage in ("before", "after")
    )
    assert cells[:2] == ["3", "train.jsonl.gz"]
    assert cells[2] == (
        f"{100 * before['rate']:.1f} % [{100 * before['low']:.1f}, {100 * before['high']:.1f}]"
    )
    assert cells[3].startswith(f"{100 * after['rate']:.1f} %")
    assert cells[4].startswith(f"{100 * (after['rate'] - before['rate']):+.1f} [")
    assert cells[5:] == ["1.5", "A Processor, 2 cores", "`01234567`"]


def test_readme_without_markers_is_left_alone(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"{END}\n{BEGIN}\n")
    with pytest.raises(UserError, match="no block for the results"):
        update_readme(readme, [])
    assert readme.read_text() == f"{END}\n{BEGIN}\n"


def test_unfinished_run_is_one_line_and_code_2(tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n")
    run = make_run(tmp_path / "half", stages=("before",), videos=0)
    assert main([str(readme), str(run)]) == 2
    error = capsys.readouterr().err
    assert "has no evaluation after fine-tuning" in error and error.count("\n") == 1
    assert readme.read_text() == f"{BEGIN}\n{END}\n"


def test_usage_without_runs(capsys):
    assert main(["README.md"]) == 2
    assert "usage" in capsys.readouterr().err
