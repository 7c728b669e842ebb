"""``flare collect`` in the published layout, as a command."""

import json

import pytest

from flare import cli
from flare.data.collection import JOURNAL
from flare.houses.files import write_houses
from flare.houses.generator import GeneratorConfig, generate_house


@pytest.fixture(scope="module")
def house_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("houses") / "train.jsonl.gz"
    config = GeneratorConfig(num_rooms=(2, 2), goal_types=("Bed", "Sofa"), num_goal_types=2)
    write_houses(path, [generate_house(0, "train", i, config) for i in range(2)])
    return path


def collect(house_file, out, *flags):
    small = ("--world.camera.width", "64", "--world.camera.height", "48", "--world.num-envs", "2",
             "--task.sampler.target-types", "Bed", "Sofa")  # fmt: skip
    return cli.main([
        "collect", "--houses", str(house_file), "--out", str(out), "--layout", "chores",
        *small, *flags,
    ])  # fmt: skip


def test_folders_sizes_and_going_on(house_file, tmp_path, capsys):
    assert collect(house_file, tmp_path / "d", "--num-episodes", "3", "--split", "val") == 0
    told = capsys.readouterr().out
    assert "3/3 episodes (100%)" in told and "MiB of about" in told
    listed = json.loads(
        (tmp_path / "d/ObjectNavType/house_id_to_sub_house_id_val.json").read_text()
    )
    assert sum(map(len, listed.values())) == 3 and set(listed) <= {"000000", "000001"}
    assert (tmp_path / "d/ObjectNavType/val").is_dir()
    journal = (tmp_path / "d" / JOURNAL).read_bytes()
    assert collect(house_file, tmp_path / "d", "--num-episodes", "3", "--split", "val") == 0
    assert (tmp_path / "d" / JOURNAL).read_bytes() == journal  # nothing was played again


def test_what_does_not_go_together_is_refused(house_file, tmp_path, capsys):
    assert collect(house_file, tmp_path / "d", "--num-episodes", "1") == 0
    assert collect(house_file, tmp_path / "d", "--num-episodes", "2") == 2
    assert "num_episodes" in capsys.readouterr().err
    assert collect(house_file, tmp_path / "e", "--overwrite") == 2
    assert "overwrite" in capsys.readouterr().err
