"""Checkpoints and run folders that are damaged, foreign or none at all."""

import hashlib
import io
import json
import os
import pickle
import shutil

import pytest
import torch

from tests.bad_input.refusal import GARBAGE, refused


def checkpoint_of(run):
    return (run / "latest").resolve()


def edited(change):
    def make(run):
        file = checkpoint_of(run) / "config.json"
        header = json.loads(file.read_text())
        change(header)
        file.write_text(json.dumps(header))

    return make


def cut(name, size):
    def make(run):
        file = checkpoint_of(run) / name
        file.write_bytes(file.read_bytes()[:size])

    return make


def trainer(blob):
    """Another trainer.pt whose hash is right."""

    def make(run):
        (checkpoint_of(run) / "trainer.pt").write_bytes(blob)
        digest = hashlib.sha256(blob).hexdigest()
        edited(lambda header: header["sha256"].update({"trainer.pt": digest}))(run)

    return make


def changed_trainer(run, change):
    state = torch.load(checkpoint_of(run) / "trainer.pt", weights_only=True)
    change(state)
    blob = io.BytesIO()
    torch.save(state, blob)
    return blob.getvalue()


def network(**fields):
    return edited(lambda header: header["policy"]["network"].update(fields))


CHECKPOINTS = {
    "no checkpoint": lambda run: (shutil.rmtree(run / "checkpoints"), (run / "latest").unlink()),
    "pointer to nothing": lambda run: shutil.rmtree(run / "checkpoints"),
    "no model": lambda run: (checkpoint_of(run) / "model.safetensors").unlink(),
    "cut model": cut("model.safetensors", 100),
    "empty model": cut("model.safetensors", 0),
    "cut config": cut("config.json", 100),
    "empty config": cut("config.json", 0),
    "config is a list": lambda run: (checkpoint_of(run) / "config.json").write_text("[]"),
    "config is garbage": lambda run: (checkpoint_of(run) / "config.json").write_bytes(GARBAGE),
    "newer format": edited(lambda header: header.update(format_version=99)),
    "format is text": edited(lambda header: header.update(format_version="new")),
    "step is text": edited(lambda header: header.update(step="many")),
    "no hashes": edited(lambda header: header.update(sha256=None)),
    "policy is text": edited(lambda header: header.update(policy="small")),
    "unknown field": network(dropout=0.1),
    "another width": network(width=64),
    "another depth": network(num_layers=3),
    "negative width": network(width=-128),
    "wrong type": network(width="wide"),
}
RUNS = {
    "cut trainer": cut("trainer.pt", 100),
    "trainer is code": trainer(pickle.dumps(os.system)),
    "trainer is empty": trainer(b""),
    "unknown recipe field": edited(lambda header: header["recipe"].update(nope=1)),
    "houses are gone": edited(lambda header: header["recipe"].update(houses="gone.jsonl")),
    "no houses": edited(lambda header: header["recipe"].update(houses=None)),
    "another stage": edited(lambda header: header.update(stage="pretrain")),
    "no config": lambda run: (run / "config.json").unlink(),
    "lost metrics": lambda run: (run / "metrics.jsonl").write_bytes(GARBAGE + b"\n"),
    "metrics are a folder": lambda run: (
        (run / "metrics.jsonl").unlink(), (run / "metrics.jsonl").mkdir()
    ),
    "lost episodes": lambda run: trainer(
        changed_trainer(run, lambda state: state["counters"].update(episode_lines=9))
    )(run),
    "trainer lacks a part": lambda run: trainer(
        changed_trainer(run, lambda state: state.pop("torch_rng"))
    )(run),
}  # fmt: skip


def copied(here, name, make):
    shutil.copytree(here / name, here / "copy", symlinks=True)
    make(here / "copy")


@pytest.mark.parametrize("name", CHECKPOINTS)
@pytest.mark.parametrize(
    "command",
    [
        "eval --checkpoint copy --houses train.jsonl.gz --out o",
        "finetune --checkpoint copy --houses train.jsonl.gz --runs o",
        "finetune --resume copy",
    ],
)
def test_checkpoints(name, command, here, capsys):
    copied(here, "rl", CHECKPOINTS[name])
    refused(command, capsys, named="copy")


@pytest.mark.parametrize("name", RUNS)
def test_runs_that_cannot_be_resumed(name, here, capsys):
    copied(here, "rl", RUNS[name])
    refused("finetune --resume copy", capsys, named="gone" if "gone" in name else "copy")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("metrics.jsonl", GARBAGE + b"\n"),
        ("metrics.jsonl", b"[1]\n"),
        ("config.json", GARBAGE),
        ("manifest.json", b"{"),
        ("eval/before.summary.json", b'{"a": 1}'),
        ("eval/before.jsonl", GARBAGE),
        ("eval/before.jsonl", b'{"a": 1}\n'),
        ("videos/after_0001.npz", GARBAGE),
    ],
)
def test_reports_of_damaged_runs(file, content, here, capsys):
    copied(here, "rl", lambda run: None)
    (here / "copy" / file).parent.mkdir(exist_ok=True)
    (here / "copy" / file).write_bytes(content)
    refused("report --run copy", capsys, named=file)


@pytest.mark.parametrize("what", ["missing", "train.jsonl.gz", "empty"])
@pytest.mark.parametrize(
    "command",
    ["report --run {}", "demo --resume {}", "finetune --resume {}",
     "finetune --houses train.jsonl.gz --runs o --checkpoint {}",
     "eval --houses train.jsonl.gz --checkpoint {} --out o"],
)  # fmt: skip
def test_folders_that_are_no_run(what, command, here, capsys):
    (here / "empty").mkdir()
    refused(command.format(what), capsys, named=what)
