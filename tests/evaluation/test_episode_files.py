"""Frozen episode files: what is written is read, and every change is noticed."""

import json
from dataclasses import replace

import pytest

from flare.errors import UserError
from flare.evaluation.episode_files import EpisodeFile, EpisodeSpec, file_sha256


def _file(tmp_path, count=4) -> tuple[EpisodeFile, object]:
    houses = tmp_path / "val.jsonl.gz"
    houses.write_bytes(b"houses")
    episodes = tuple(
        EpisodeSpec(
            episode=i, house=i % 2, house_hash="00ff00ff00ff00ff", start=(1.0, 0.5 * i, 30.0),
            task="ObjectNav", targets=(3, 7), rooms=(), target_type="Sofa",
            instruction="find a sofa", seed=2**63 + i, expert_length=20 + i, shortest_path=3.25,
        )
        for i in range(count)
    )  # fmt: skip
    file = EpisodeFile(
        split="val", task="ObjectNav", house_file=houses.name,
        house_file_sha256=file_sha256(houses), episodes=episodes,
    )  # fmt: skip
    return file, houses


def test_read_gives_back_what_was_written(tmp_path):
    file, houses = _file(tmp_path)
    path = tmp_path / "episodes.jsonl"
    digest = file.write(path)
    assert EpisodeFile.read(path, house_file=houses) == file
    assert digest == file.hash == json.loads(path.read_text().splitlines()[0])["hash"]
    assert len(path.read_text().splitlines()) == 5


def test_hash_depends_on_every_field(tmp_path):
    file, _ = _file(tmp_path)
    other_episode = replace(file.episodes[1], expert_length=99)
    others = [
        replace(file, split="test"),
        replace(file, house_file_sha256="0" * 64),
        replace(file, episodes=file.episodes[:3]),
        replace(file, episodes=(file.episodes[0], other_episode, *file.episodes[2:])),
    ]
    assert len({file.hash, *(other.hash for other in others)}) == 5


def test_file_without_episodes_is_possible(tmp_path):
    file = replace(_file(tmp_path)[0], episodes=())
    file.write(tmp_path / "e.jsonl")
    assert EpisodeFile.read(tmp_path / "e.jsonl") == file


def _swap(lines):
    lines[2], lines[3] = lines[3], lines[2]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: lines.__setitem__(2, lines[2].replace("sofa", "bed")), 3),
        (lambda lines: lines.__setitem__(0, lines[0].replace("val", "test")), 1),
        (_swap, 3),
        (lambda lines: lines.pop(2), 3),
        (lambda lines: lines.pop(), 5),
        (lambda lines: lines.append(lines[-1]), 6),
        (lambda lines: lines.__setitem__(4, "{"), 5),
    ],
    ids=["changed", "header", "swapped", "removed", "cut", "added", "broken"],
)
def test_change_is_noticed_and_its_line_named(tmp_path, change, line):
    path = tmp_path / "episodes.jsonl"
    _file(tmp_path)[0].write(path)
    lines = path.read_text().splitlines()
    change(lines)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError) as error:
        EpisodeFile.read(path)
    assert error.value.key == f"line {line}" and error.value.file == str(path)
    assert "freeze new episodes" in error.value.mend


def test_other_houses_are_refused(tmp_path):
    file, houses = _file(tmp_path)
    file.write(tmp_path / "e.jsonl")
    houses.write_bytes(b"other houses")
    with pytest.raises(UserError, match="not the houses of these episodes"):
        EpisodeFile.read(tmp_path / "e.jsonl", house_file=houses)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "empty"), ('{"format": "x"}\n', "not a file of frozen"), ("{}", "empty or cut off"),
     ('{"format": "flare-episodes", "version": 9}\n', "reads version 2")],
)  # fmt: skip
def test_other_files_are_refused(tmp_path, text, message):
    path = tmp_path / "e.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        EpisodeFile.read(path)


def test_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        EpisodeFile.read(tmp_path / "none.jsonl")


def test_positions_must_count_up(tmp_path):
    file, _ = _file(tmp_path)
    with pytest.raises(ValueError, match="stands at position 0"):
        replace(file, episodes=file.episodes[1:])
