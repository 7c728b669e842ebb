import json
import re
import subprocess
from dataclasses import dataclass

import pytest

from flare import run_folder
from flare.errors import UserError
from flare.run_folder import RunFolder, check_free_disk, git_state, make_manifest


@dataclass(frozen=True)
class Config:
    seed: int = 1


def test_new_run_is_described_and_opened(tmp_path):
    folder = RunFolder.create(tmp_path / "runs", "first")
    folder.describe(Config(), make_manifest(recipe="finetune", seed=1, inputs={"houses": "ab"}))
    opened = RunFolder.open(folder.path)
    assert opened == folder
    assert opened.name == "first"
    assert json.loads(opened.config.read_text()) == {"seed": 1}
    manifest = opened.read_manifest()
    assert manifest["inputs"] == {"houses": "ab"}
    assert manifest["versions"].keys() >= {"python", "flare", "torch", "numpy"}
    assert manifest["machine"]["cores"] >= 1
    assert manifest["machine"]["memory_bytes"] > 2**28
    assert re.match(r"\d{4}-\d\d-\d\dT", manifest["time"])


def test_layout_is_the_documented_one(tmp_path):
    folder = RunFolder(tmp_path)
    relative = [
        path.relative_to(tmp_path).as_posix()
        for path in (
            folder.metrics,
            folder.tensorboard,
            folder.episodes,
            folder.checkpoints,
            folder.latest,
            folder.best,
            folder.report,
            folder.evaluation("before"),
        )
    ]
    assert relative == [
        "metrics.jsonl",
        "tensorboard",
        "episodes.jsonl",
        "checkpoints",
        "latest",
        "best",
        "report.html",
        "eval/before.jsonl",
    ]


def test_an_existing_run_is_not_overwritten(tmp_path):
    RunFolder.create(tmp_path, "a").describe(Config(), {})
    with pytest.raises(UserError, match=r"exists already\. Mend: .* --resume"):
        RunFolder.create(tmp_path, "a")


def test_automatic_names_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder.time, "strftime", lambda *_: "20260102-030405")
    names = [RunFolder.create(tmp_path, prefix="demo").name for _ in range(3)]
    assert names == ["demo-20260102-030405", "demo-20260102-030405-2", "demo-20260102-030405-3"]


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_bad_names_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="name: is "):
        RunFolder.create(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_no_run(tmp_path):
    with pytest.raises(UserError, match="no such run"):
        RunFolder.open(tmp_path / "none")
    with pytest.raises(UserError, match="not a run's folder"):
        RunFolder.open(tmp_path)


def test_full_disk_is_noticed_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match=r"GB free where the run needs 1000000000\.0 GB"):
        RunFolder.create(tmp_path / "runs", "a", need_bytes=10**18)
    assert list(tmp_path.iterdir()) == []
    check_free_disk(tmp_path / "not" / "yet", 1)


def test_parent_that_is_a_file_is_a_user_error(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        RunFolder.create(tmp_path / "runs", "a")


def test_git_state_of_a_checkout_and_outside_one(tmp_path):
    assert git_state(tmp_path) is None
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    state = git_state(tmp_path)
    assert state is not None
    assert len(state["commit"]) == 40
    assert state["changed"] is False
