import json

import pytest

from flare.cli import main
from flare.errors import UserError
from flare.houses.commands import CheckConfig, GenerateConfig, ShowConfig, _tally
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


@pytest.fixture
def core():
    pytest.importorskip("flare._core")


def test_check_counts_what_plays(core, house_file, capsys):
    assert main(["houses", "check", str(house_file), "--verbose"]) == 0
    out = capsys.readouterr().out
    assert out.count("ok       train.jsonl.gz line ") == 2
    assert out.endswith(f"2 of 2 houses of {house_file} can be played\n")


def test_check_names_each_house_that_is_refused(core, house_file, tmp_path, capsys):
    houses = [json.loads(text) for _, text in read_houses(house_file)]
    houses[1]["rooms"] = []
    path = tmp_path / "bad.jsonl"
    path.write_text("".join(json.dumps(house) + "\n" for house in houses))
    assert main(["houses", "check", str(path)]) == 1
    out = capsys.readouterr().out
    assert "REFUSED  bad.jsonl line 2" in out
    assert "rooms" in out
    assert "1 of 2 houses" in out
    assert main(["houses", "check", str(path), "--limit", "1"]) == 0


def test_check_tells_what_breaks_the_schema(core, house_file, tmp_path, capsys):
    houses = [json.loads(text) for _, text in read_houses(house_file)]
    houses[1]["rooms"][0]["layer"] = "Procedural9"
    path = tmp_path / "odd.jsonl"
    path.write_text("".join(json.dumps(house) + "\n" for house in houses))
    assert main(["houses", "check", str(path)]) == 0
    out = capsys.readouterr().out
    assert "SCHEMA   odd.jsonl line 2: rooms[0].layer: is 'Procedural9'" in out
    assert "1 of 2 keep to schema 1.0.0 as AI2-THOR reads it" in out


def test_stats_print_a_table_or_json(core, house_file, capsys):
    other = house_file.with_name("other.jsonl.gz")
    other.write_bytes(house_file.read_bytes())
    assert main(["houses", "stats", str(house_file), str(other)]) == 0
    assert "total variation to the first" in capsys.readouterr().out
    assert main(["houses", "stats", str(house_file), "--limit", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)[str(house_file)]
    assert found["num_houses"] == 1
    assert found["spreads"]["rooms"]["num_values"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stats", "nowhere.jsonl"], "nowhere.jsonl: there is no such file"),
        (["stats", "houses.txt"], "houses.txt: 'houses.txt' is no house file"),
        (["stats", "a.jsonl", "--limit", "0"], "limit: is 0"),
        (["stats"], "houses: no file is given"),
        (["generate", "--generator.num-rooms", "0", "2"], "num_rooms: is (0, 2)"),
        (["generate", "--generator.style", "baroque"], "style: is 'baroque'"),
        (["generate", "--generator.half-open-doors", "2"], "half_open_doors: is 2.0"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["houses", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert "Mend: " in err


def test_check_of_a_file_that_is_not_json(tmp_path, capsys):
    path = tmp_path / "bad.jsonl"
    path.write_text("{")
    assert main(["houses", "check", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {path}: line 1: not JSON")


def test_check_of_no_houses_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="limit: is 0"):
        CheckConfig(houses=tmp_path, limit=0)


def test_tally_shows_the_most_frequent_types():
    counts = [(("Sofa", 2), ("Bed", 1)), (("Bed", 4),), tuple((f"T{i}", 1) for i in range(9))]
    assert _tally("guessed", counts).startswith("guessed: Bed 5, Sofa 2, T0 1")
    assert _tally("guessed", counts).endswith(" and 3 more")
    assert _tally("guessed", [()]) == "guessed: none"
