"""The page without a browser: what is missing is said, what is strange is escaped."""

import json
import re

import pytest

from flare.errors import UserError
from flare.report import ReportConfig, build_report, run_report
from tests.report.synthetic_run import make_run, write_lines


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "full", videos=1)


def test_page_is_one_file_without_addresses(full):
    text = build_report(full).read_text()
    assert not re.search(r'(?:src|href|action)="(?!data:|#)', text)
    assert "url(" not in text and "@import" not in text
    assert "http" not in re.sub(r'http-equiv="[^"]*"|"application/json"', "", text)
    assert "default-src 'none'" in text


def test_building_twice_gives_the_same_page(full, monkeypatch):
    monkeypatch.setattr("flare.report.render.time.strftime", lambda _: "now")
    assert build_report(full).read_text() == build_report(full).read_text()


def test_content_of_files_cannot_become_markup(full):
    text = build_report(full).read_text()
    assert "&lt;b&gt;&amp;" in text and '"<b>' not in text


def test_command_prints_the_path(full, capsys):
    assert run_report(ReportConfig(run=full)) == 0
    assert capsys.readouterr().out.strip() == str(full / "report.html")


def test_run_without_fine_tuning_says_so(tmp_path):
    text = build_report(make_run(tmp_path / "half", stages=("before",), videos=0)).read_text()
    assert "No paired comparison" in text and "No fine-tuning yet" in text
    assert "No videos were recorded" in text and "No timings" in text
    assert 'data-key="before.success.rate"' in text and 'data-key="after' not in text


def test_run_that_has_just_begun(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    text = build_report(tmp_path).read_text()
    assert "No evaluation yet" in text and "No training has been recorded" in text
    assert "Manifest: no file" in text


def test_lost_episodes_get_a_row(full, tmp_path):
    run = make_run(tmp_path / "lossy", videos=0)
    lines = (run / "eval" / "after.summary.json").read_text()
    summary = json.loads(lines) | {"missing": [3, 4]}
    (run / "eval" / "after.summary.json").write_text(json.dumps(summary))
    text = build_report(run).read_text()
    assert re.search(r'data-key="after.missing">2<', text)


def test_greedy_evaluations_get_a_row(tmp_path):
    run = make_run(tmp_path / "greedy", videos=0)
    for stage in ("before", "after"):
        text = (run / "eval" / f"{stage}.summary.json").read_text()
        (run / "eval" / f"{stage}_greedy.summary.json").write_text(text)
    assert 'data-key="after_greedy.success.rate"' in build_report(run).read_text()


@pytest.mark.parametrize("exists", [False, True])
def test_folder_that_is_no_run_is_refused(tmp_path, exists):
    folder = tmp_path / "x"
    if exists:
        folder.mkdir()
    with pytest.raises(UserError, match=r"no such run|not a run's folder"):
        build_report(folder)
    assert not (folder / "report.html").exists()


def test_damaged_metrics_name_the_line(tmp_path):
    write_lines(tmp_path / "metrics.jsonl", [{"stage": "finetune"}])
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write("{broken\n")
    with pytest.raises(UserError, match="line 2: not JSON"):
        build_report(tmp_path)


def test_half_a_last_line_is_what_a_killed_run_leaves(tmp_path):
    write_lines(tmp_path / "metrics.jsonl", [{"stage": "finetune", "iteration": 1, "step": 8}])
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"stage": "finet')
    assert build_report(tmp_path).exists()


def test_houses_that_failed_are_listed(full, tmp_path):
    run = make_run(tmp_path / "thor", videos=0)
    lines = (run / "metrics.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    last["worlds"] = {
        "failures": 7, "recycled": 2, "quarantined": ["train.jsonl.gz line 9"], "lost_devices": [3],
    }  # fmt: skip
    (run / "metrics.jsonl").write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n")
    text = build_report(run).read_text()
    assert "Worlds that failed" in text and "<li>train.jsonl.gz line 9</li>" in text
    assert "7 processes were lost" in text and "starts on them any more: 3." in text
    assert "Worlds that failed" not in build_report(full).read_text()
