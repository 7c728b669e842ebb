"""Configuration files and flags whose values no run can have."""

import json

import pytest

from flare import cli
from tests.bad_input.refusal import GARBAGE, TYPES, refused

CONFIGS = {
    "missing": None,
    "empty": b"",
    "garbage": GARBAGE,
    "list": b"[1]",
    "null": b"null",
    "unknown": b'{"nope": 1}',
    "deep": b"[" * 100_000,
}
REQUIRED = {
    "collect": "--houses a --out b",
    "pretrain": "--houses a --demonstrations b",
    "eval": "--checkpoint a --houses b",
    "report": "--run a",
    "houses show": "a",
    "houses check": "a",
}


@pytest.mark.parametrize("command", [command.name for command in cli.COMMANDS])
@pytest.mark.parametrize("name", CONFIGS)
def test_configuration_files(name, command, here, capsys):
    if CONFIGS[name] is not None:
        (here / f"{name}.json").write_bytes(CONFIGS[name])
    refused(
        f"{command} {REQUIRED.get(command, '')} --config {name}.json", capsys, named=f"{name}.json"
    )


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ({"num_envs": "many"}, "num_envs"),
        ({"num_envs": -3}, "num_envs"),
        ({"imitation": 3}, "imitation"),
        ({"imitation": {"num_epochs": 0}}, "imitation.num_epochs"),
        ({"ppo": {"clip_coef": -1}}, "ppo.clip_coef"),
        ({"collector": {"gamma": 2}}, "collector.gamma"),
        ({"encoder": {"nope": 0}}, "encoder.nope"),
        ({"goal_types": "Bed"}, "goal_types"),
        ({"goal_types": [1]}, "goal_types[0]"),
        ({"quick": 1}, "quick"),
        ({"seed": 1.5}, "seed"),
    ],
)
def test_fields_of_a_configuration_file(content, key, here, capsys):
    (here / "c.json").write_text(json.dumps(content))
    refused("demo --config c.json", capsys, named=f"c.json: {key}: ")


FLAGS = {
    "demo --quick --runs o": [
        "--num-threads -1", "--num-envs -1", "--num-envs many", "--num-train-houses 0",
        "--max-steps 0", "--max-distance -1", "--max-distance nan", "--max-start-turn-deg 500",
        "--goal-types", "--goal-types Dragon", "--seed -1", "--seed 99999999999999999999",
        "--encoder.num-views 1", "--encoder.learning-rate -1", "--imitation.num-epochs 0",
        "--imitation.learning-rate nan", "--imitation.max-grad-norm -1", "--ppo.num-epochs 0",
        "--ppo.clip-coef -1", "--collector.num-steps 0", "--collector.gamma 2", "--name a/b",
        "--name .", "--runs train.jsonl.gz", "--runs /proc/x", "--nope", "extra",
    ],
    "collect --houses train.jsonl.gz --out o.h5 --num-episodes 1": [
        "--num-episodes 0", "--world.num-envs 0", "--world.num-threads -2",
        "--world.camera.width 0", "--world.camera.height 100000", "--world.camera.num-cameras 5",
        "--world.action-names fly", "--world.action-names move_ahead", "--task.max-steps -1",
        "--task.max-steps 99999", "--task.names Dance", "--task.reward.shaping-weight -1",
        "--task.sampler.min-distance -1", "--max-houses 0",
        "--task.sampler.min-distance 5 --task.sampler.max-distance 2", "--seed -1",
        "--task.sampler.target-types Dragon", "--out d.h5", "--out nowhere/x.h5", "--out .",
        "--out . --overwrite", "--out /proc/x.h5", "--task.reward.goal-success nan",
    ],
    "pretrain --houses train.jsonl.gz --demonstrations d.h5 --runs o": [
        "", "--encoder.num-views 0 --task.sampler.target-types Bed", "--encoder.batch-size 0",
        "--imitation.batch-size 0", "--num-threads -1", "--max-houses -1", "--task.max-steps -1",
        "--task.sampler.target-types Dragon", f"--world.camera.width 96 {' '.join(TYPES)}",
        f"--runs train.jsonl.gz {' '.join(TYPES)}", f"--name rl --runs . {' '.join(TYPES)}",
    ],
    "finetune --houses train.jsonl.gz --checkpoint il --runs o": [
        "--total-steps 0", "--checkpoint-every 0", "--seed -1", "--num-threads -1",
        "--world.num-envs 0", "--world.num-envs 10000000", "--collector.num-steps 0",
        "--ppo.num-minibatches 0", "--world.num-envs 2 --ppo.num-minibatches 3",
        "--ppo.actor-learning-rate -1", "--ppo.max-grad-norm 0", "--collector.gae-lambda 3",
        "--collector.memory nope", "--preset nope", "--max-houses -1", "--name rl --runs .",
        "--task.sampler.target-types Dragon",
    ],
    "eval --houses train.jsonl.gz --checkpoint rl --out o": [
        "--num-episodes 0", "--which nope", "--which best", "--seed -1", "--name a/b",
        "--name ../x", "--out train.jsonl.gz", "--out /proc/x", "--episodes folder",
        "--episodes d.h5", "--episodes rl/metrics.jsonl", "--task.sampler.target-types Dragon",
    ],
    "houses generate --out o --val 0 --test 0 --num-workers 1": [
        "--train -1", "--train 0", "--num-workers -1", "--seed -1", "--out train.jsonl.gz",
        "--out /proc/x", "--generator.num-rooms 0 0", "--generator.num-rooms 5 2",
        "--generator.furniture-density -1", "--generator.furniture-density nan",
        "--generator.goal-types Dragon", "--generator.num-goal-types 99",
        "--generator.ceiling-height 3 2", "--generator.outer-shape round",
    ],
    "houses show train.jsonl.gz --out o.png": [
        "--index -1", "--index 99", "--out nowhere/x.png", "--out .",
        "--out folder", "--out /proc/x.png",
    ],
    "houses check train.jsonl.gz": ["--limit 0", "--limit -1", "--limit some"],
    "report": ["", "--run", "--nope"],
    "doctor": ["--nope", "extra"],
}  # fmt: skip


@pytest.mark.parametrize(
    "line", [f"{command} {flags}" for command, several in FLAGS.items() for flags in several]
)
def test_values_of_flags(line, here, capsys):
    refused(line, capsys)
