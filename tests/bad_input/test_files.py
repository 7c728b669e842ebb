"""House files and demonstrations of every wrong kind, given to every command that reads them."""

import gzip
import json
import shutil

import h5py
import numpy as np
import pytest

from flare import cli
from tests.bad_input.refusal import GARBAGE, TYPES, refused


def a_house(here):
    return json.loads(gzip.open(here / "train.jsonl.gz").readline())


def text_of(change):
    """A maker of a house file of one document with a change."""

    def make(path, here):
        house = a_house(here)
        change(house)
        path.write_text(json.dumps(house) + "\n")

    return make


HOUSE_FILES = {
    "missing.jsonl": lambda path, here: None,
    "folder.jsonl": lambda path, here: path.mkdir(),
    "folder.jsonl.gz": lambda path, here: path.mkdir(),
    "empty.jsonl": lambda path, here: path.write_bytes(b""),
    "empty.jsonl.gz": lambda path, here: path.write_bytes(b""),
    "empty.json": lambda path, here: path.write_bytes(b""),
    "garbage.jsonl": lambda path, here: path.write_bytes(GARBAGE),
    "garbage.jsonl.gz": lambda path, here: path.write_bytes(GARBAGE),
    "garbage.json": lambda path, here: path.write_bytes(GARBAGE),
    "list.json": lambda path, here: path.write_text("[1, 2]"),
    "null.jsonl": lambda path, here: path.write_text("null\n"),
    "deep.json": lambda path, here: path.write_text("[" * 100_000),
    "empty_object.jsonl": lambda path, here: path.write_text("{}\n"),
    "nan.jsonl": lambda path, here: path.write_text('{"rooms": NaN}\n'),
    "cut.jsonl.gz": lambda path, here: path.write_bytes(
        (here / "train.jsonl.gz").read_bytes()[:2000]
    ),
    "rooms_are_text.jsonl": text_of(lambda house: house.update(rooms="two")),
    "no_rooms.jsonl": text_of(lambda house: house.pop("rooms")),
    "what.txt": lambda path, here: path.write_text("{}"),
}
HOUSE_COMMANDS = {
    "collect": "collect --houses {} --out o.h5 --world.num-envs 1 --num-episodes 1",
    "show": "houses show {} --out o.png",
    "eval": "eval --checkpoint rl --houses {} --out o",
    "finetune": "finetune --checkpoint il --houses {} --runs o --name x",
    "pretrain": "pretrain --houses {} --demonstrations d.h5 --runs o "
    "--task.sampler.target-types Bed",
    "demo": "demo --quick --houses {} --val-houses train.jsonl.gz --runs o --name x",
    "demo val": "demo --quick --houses train.jsonl.gz --val-houses {} --runs o --name x",
}


@pytest.mark.parametrize("command", HOUSE_COMMANDS)
@pytest.mark.parametrize("name", HOUSE_FILES)
def test_house_files(name, command, here, capsys):
    HOUSE_FILES[name](here / name, here)
    refused(HOUSE_COMMANDS[command].format(name), capsys, named=name)


@pytest.mark.parametrize("name", HOUSE_FILES)
def test_houses_check_refuses_the_file_or_the_house(name, here, capsys):
    HOUSE_FILES[name](here / name, here)
    code = cli.main(["houses", "check", name])
    out, err = capsys.readouterr()
    assert ((code, err) == (1, "") and "REFUSED" in out) or (code == 2 and err.count("\n") == 1)


def changed_h5(change):
    def make(path, here):
        shutil.copy(here / "d.h5", path)
        with h5py.File(path, "a") as file:
            change(file)

    return make


def replaced(name, values):
    def change(file):
        new = values(file) if callable(values) else values
        del file[name]
        if new is not None:
            file[name] = new

    return changed_h5(change)


DEMONSTRATIONS = {
    "missing.h5": lambda path, here: None,
    "folder.h5": lambda path, here: path.mkdir(),
    "empty.h5": lambda path, here: path.write_bytes(b""),
    "garbage.h5": lambda path, here: path.write_bytes(GARBAGE),
    "cut.h5": lambda path, here: path.write_bytes((here / "d.h5").read_bytes()[:-2000]),
    "houses.h5": lambda path, here: shutil.copy(here / "train.jsonl.gz", path),
    "newer.h5": changed_h5(lambda file: file.attrs.update(format=99)),
    "no_frames.h5": replaced("frames", None),
    "flat_frames.h5": replaced("frames", lambda file: np.zeros((len(file["actions"]), 3))),
    "other_frames.h5": replaced(
        "frames", lambda file: np.zeros((len(file["actions"]), 1, 8, 8, 3), np.uint8)
    ),
    "offsets.h5": replaced("offsets", np.array([0, 5, 99_999])),
    "actions.h5": replaced("actions", lambda file: np.full(len(file["actions"]), 77)),
    "names.h5": changed_h5(lambda file: file.attrs.update(action_names=["fly"] * 7)),
    "bytes.h5": replaced("instructions", [b"\xff\xfe"] * 6),
    "words.h5": replaced("instructions", [b"dance"] * 6),
}


@pytest.mark.parametrize("name", DEMONSTRATIONS)
def test_demonstrations(name, here, capsys):
    DEMONSTRATIONS[name](here / name, here)
    refused(
        f"pretrain --houses train.jsonl.gz --demonstrations {name} --runs o {' '.join(TYPES)}",
        capsys,
        named="action" if name == "names.h5" else name,
    )
