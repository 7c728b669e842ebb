import pytest

from flare import cli
from tests.bad_input.refusal import SMALL, TYPES


@pytest.fixture(scope="package")
def made(tmp_path_factory):
    """Houses, demonstrations, a pre-trained and a fine-tuned run, made by the commands."""
    folder = tmp_path_factory.mktemp("made")
    houses = folder / "train.jsonl.gz"
    for arguments in (
        ("houses", "generate", "--out", folder, "--train", 2, "--val", 0, "--test", 0,
         "--num-workers", 1, "--generator.num-rooms", 2, 2, "--generator.num-goal-types", 3,
         "--generator.goal-types", *TYPES[1:]),
        ("collect", "--houses", houses, "--out", folder / "d.h5", "--num-episodes", 6, *SMALL,
         "--task.max-steps", 100, *TYPES),
        ("pretrain", "--houses", houses, "--demonstrations", folder / "d.h5", "--runs", folder,
         "--name", "il", "--encoder.num-views", 16, "--encoder.batch-size", 16,
         "--imitation.num-epochs", 1, "--task.max-steps", 100, *SMALL, *TYPES),
        ("finetune", "--houses", houses, "--checkpoint", folder / "il", "--runs", folder,
         "--name", "rl", *SMALL, "--total-steps", 16, "--collector.num-steps", 8,
         "--ppo.num-epochs", 1, *TYPES),
    ):  # fmt: skip
        assert cli.main([str(each) for each in arguments]) == 0
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A working folder with links to what was made."""
    (tmp_path / "folder").mkdir()
    for name in ("train.jsonl.gz", "d.h5", "il", "rl"):
        (tmp_path / name).symlink_to(made / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
