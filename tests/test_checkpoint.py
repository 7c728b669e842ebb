import errno
import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flare import atomic, checkpoint
from flare.checkpoint import Checkpoint, find_checkpoint, list_checkpoints, load_checkpoint
from flare.checkpoint import save_checkpoint as save
from flare.errors import UserError


def make(step=10, scale=1.0, **policy):
    weight = torch.arange(6, dtype=torch.float32).reshape(2, 3) * scale
    return Checkpoint(
        step=step,
        stage="finetune",
        model={"head.weight": weight.T, "tied": weight, "ids": torch.tensor([1, 2])},
        policy={"width": 64, "encoder": {"depth": 2}, **policy},
        recipe={"seed": 3},
        trainer={"optimizer": {"state": {0: {"step": torch.tensor(4.0)}}}, "counters": {"step": 1}},
        metrics={"success_rate": 0.4375},
    )


def same(a, b):
    return (
        a.keys() == b.keys()
        and all(torch.equal(a[key], b[key]) for key in a)
        and all(a[key].dtype == b[key].dtype for key in a)
    )


def test_what_was_saved_is_loaded(tmp_path):
    folder = save(tmp_path, make())
    assert folder == tmp_path / "checkpoints" / "000000010"
    assert sorted(path.name for path in folder.iterdir()) == [
        "card.md",
        "config.json",
        "model.safetensors",
        "trainer.pt",
    ]
    for place in (tmp_path, folder):
        loaded = load_checkpoint(place, policy=make().policy)
        assert same(loaded.model, make().model)
        assert (loaded.step, loaded.stage, loaded.recipe) == (10, "finetune", {"seed": 3})
        assert loaded.trainer["counters"] == {"step": 1}
        assert torch.equal(loaded.trainer["optimizer"]["state"][0]["step"], torch.tensor(4.0))
        assert loaded.metrics == {"success_rate": 0.4375}


def test_card_says_what_it_is_and_how_to_go_on(tmp_path):
    run = tmp_path / "walk"
    card = (save(run, make()) / "card.md").read_text()
    assert card.startswith("# walk, finetune, step 10\n")
    assert "with 14 weights" in card
    assert "| success_rate | 0.4375 |" in card
    assert f"`flare finetune --resume {run}`" in card


def test_a_rate_of_nothing_is_null(tmp_path):
    folder = save(tmp_path, replace(make(), metrics={"success_rate": math.nan}))
    assert load_checkpoint(folder).metrics == {"success_rate": None}


def test_processors_are_kept_and_checked(tmp_path):
    folder = save(tmp_path, replace(make(), processors={"tokenizer.json": b"{}"}))
    assert load_checkpoint(folder).processors == {"tokenizer.json": b"{}"}
    (folder / "processors" / "tokenizer.json").write_bytes(b"[]")
    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(folder)


def test_without_trainer_only_weights_are_read(tmp_path):
    folder = save(tmp_path, make())
    (folder / "trainer.pt").unlink()
    assert load_checkpoint(folder, with_trainer=False).trainer == {}


def test_latest_best_and_retention(tmp_path):
    for step in range(1, 7):
        save(tmp_path, make(step), best=step == 2, keep_last=2)
    assert [int(path.name) for path in list_checkpoints(tmp_path)] == [2, 5, 6]
    assert load_checkpoint(tmp_path).step == 6
    assert load_checkpoint(tmp_path, which="best").step == 2
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "000000002",
        "000000005",
        "000000006",
    ]


def test_pointers_are_relative_so_a_run_can_be_moved(tmp_path):
    save(tmp_path / "a", make(), best=True)
    (tmp_path / "a").rename(tmp_path / "b")
    assert load_checkpoint(tmp_path / "b", which="best").step == 10


def test_saving_a_step_again_replaces_it(tmp_path):
    save(tmp_path, make())
    save(tmp_path, make(scale=2.0))
    assert same(load_checkpoint(tmp_path).model, make(scale=2.0).model)


def test_dangling_latest_falls_back_to_the_newest(tmp_path):
    for step in (1, 2):
        save(tmp_path, make(step))
    shutil.rmtree(tmp_path / "checkpoints" / "000000002")
    assert find_checkpoint(tmp_path).name == "000000001"


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("failing", range(1, 8))
def test_full_disk_at_any_moment_leaves_the_old_checkpoint(tmp_path, monkeypatch, call, failing):
    save(tmp_path, make(1))
    real, calls = getattr(os, call), iter(range(1, 100))

    def fails_at(*args):
        if next(calls) == failing:
            raise OSError(errno.ENOSPC, "full")
        return real(*args)

    monkeypatch.setattr(atomic.os, call, fails_at)
    try:
        save(tmp_path, make(2))
    except UserError as error:
        assert "the disk is full" in str(error)
    monkeypatch.undo()
    loaded = load_checkpoint(tmp_path)
    assert same(loaded.model, make().model)
    assert loaded.step in (1, 2)
    assert not [path for path in tmp_path.rglob("*.tmp") if path.is_file()]


def test_kill_while_writing_leaves_no_checkpoint_that_looks_whole(tmp_path, monkeypatch):
    """A process that dies before the rename leaves only a hidden temporary folder."""
    save(tmp_path, make(1))

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "replace_directory", killed)
    monkeypatch.setattr(checkpoint.shutil, "rmtree", lambda *args, **kwargs: None)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, make(2))
    assert [path.name for path in list_checkpoints(tmp_path)] == ["000000001"]
    assert load_checkpoint(tmp_path).step == 1


def test_folders_without_a_checkpoint(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        load_checkpoint(tmp_path / "none")
    with pytest.raises(UserError, match="no checkpoint in this folder"):
        load_checkpoint(tmp_path)
    save(tmp_path, make())
    with pytest.raises(UserError, match="no best checkpoint"):
        load_checkpoint(tmp_path, which="best")


@pytest.mark.parametrize("name", ["model.safetensors", "trainer.pt", "config.json"])
def test_a_missing_file_is_named(tmp_path, name):
    folder = save(tmp_path, make())
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"lacks {name}"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "trainer.pt"])
@pytest.mark.parametrize("how", ["truncated", "flipped", "empty"])
def test_damage_is_found(tmp_path, name, how):
    path = save(tmp_path, make()) / name
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[-20] ^= 1
    path.write_bytes({"truncated": data[:-7], "flipped": data, "empty": b""}[how])
    with pytest.raises(UserError, match=f"{name}: damaged"):
        load_checkpoint(tmp_path)


def rewrite(folder: Path, name: str, data: bytes) -> None:
    """Change a file and its hash, as a stranger's tool would."""
    (folder / name).write_bytes(data)
    header = json.loads((folder / "config.json").read_text())
    header["sha256"][name] = checkpoint.hashlib.sha256(data).hexdigest()
    (folder / "config.json").write_text(json.dumps(header))


class Spy:
    def __reduce__(self):
        return (os.mkdir, ("/nonexistent/spy",))


def test_trainer_file_that_would_run_code_is_refused(tmp_path):
    folder = save(tmp_path, make())
    torch.save({"optimizer": Spy()}, tmp_path / "evil")
    rewrite(folder, "trainer.pt", (tmp_path / "evil").read_bytes())
    with pytest.raises(UserError, match=r"trainer.pt: damaged"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "trainer.pt"])
def test_nonsense_with_a_right_hash_is_refused(tmp_path, name):
    folder = save(tmp_path, make())
    rewrite(folder, name, b"nonsense")
    with pytest.raises(UserError, match=f"{name}: damaged"):
        load_checkpoint(folder)


def test_newer_format_and_foreign_config(tmp_path):
    folder = save(tmp_path, make())
    header = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**header, "format_version": 99}))
    with pytest.raises(UserError, match=r"format 99, .* Mend: install a newer flare"):
        load_checkpoint(folder)
    del header["policy"]
    (folder / "config.json").write_text(json.dumps(header))
    with pytest.raises(UserError, match="policy: missing"):
        load_checkpoint(folder)


def test_other_architecture_lists_the_differing_keys(tmp_path):
    save(tmp_path, make(width=64))
    with pytest.raises(UserError) as caught:
        load_checkpoint(tmp_path, policy={"width": 128, "encoder": {"depth": 2, "kind": "cnn"}})
    assert 'encoder.kind: "cnn", absent; width: 128, 64' in str(caught.value)


def test_keep_last_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match="keep_last"):
        save(tmp_path, make(), keep_last=0)
