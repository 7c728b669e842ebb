import json

import pytest

from flare.cli import main
from flare.errors import UserError
from flare.houses.commands import GenerateConfig, ShowConfig
from flare.houses.files import read_houses


def test_generate_writes_the_splits_that_are_asked_for(tmp_path, capsys):
    out = tmp_path / "made" / "here"
    flags = ["--train", "3", "--val", "1", "--test", "0", "--num-workers", "1"]
    assert main(["houses", "generate", "--out", str(out), "--seed", "5", *flags]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["train.jsonl.gz", "val.jsonl.gz"]
    train, val = read_houses(out / "train.jsonl.gz"), read_houses(out / "val.jsonl.gz")
    assert (len(train), len(val)) == (3, 1)
    assert len({text for _, text in train + val}) == 4
    printed = capsys.readouterr().out
    assert "train: took" in printed
    assert "3/3 houses (100%)" in printed
    assert f"wrote {out / 'val.jsonl.gz'}" in printed


def test_generator_settings_come_from_flags(tmp_path):
    flags = ["--train", "1", "--val", "0", "--test", "0", "--num-workers", "1"]
    flags += ["--generator.num-rooms", "1", "1", "--out", str(tmp_path)]
    assert main(["houses", "generate", *flags]) == 0
    (_, text), *_ = read_houses(tmp_path / "train.jsonl.gz")
    assert len(json.loads(text)["rooms"]) == 1


@pytest.fixture
def house_file(tmp_path):
    main(["houses", "generate", "--train", "2", "--val", "0", "--test", "0",
          "--num-workers", "1", "--out", str(tmp_path)])  # fmt: skip
    return tmp_path / "train.jsonl.gz"


def test_show_draws_a_png(house_file, tmp_path, capsys):
    out = tmp_path / "plan.png"
    assert main(["houses", "show", str(house_file), "--index", "1", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert str(out) in capsys.readouterr().out


def test_show_names_the_picture_after_the_file(house_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["houses", "show", str(house_file)]) == 0
    assert (tmp_path / "train-0.png").exists()


def test_show_of_a_house_that_is_not_there(house_file, capsys):
    assert main(["houses", "show", str(house_file), "--index", "9"]) == 2
    assert "there is no house 9: the file holds 2. Mend: give an index up to 1" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train": -1}, "train: is -1"),
        ({"num_workers": -2}, "num_workers: is -2"),
        ({"train": 0, "val": 0, "test": 0}, "no house is asked for"),
    ],
)
def test_bad_orders_are_user_errors(fields, message):
    with pytest.raises(UserError, match=message):
        GenerateConfig(**fields)


def test_negative_index_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="index: is -1"):
        ShowConfig(houses=tmp_path, index=-1)
