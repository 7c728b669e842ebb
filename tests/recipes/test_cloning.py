"""Behaviour cloning of windows: the loss, its split over passes and processes, exact resuming."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from flare import cli
from flare.agent import AgentConfig
from flare.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from flare.config import to_dict
from flare.data.loader import ChoresConfig, WindowLoader
from flare.data.windows import Window, WindowBatch, WindowConfig
from flare.errors import UserError
from flare.houses.files import write_houses
from flare.houses.generator import GeneratorConfig, generate_house
from flare.metrics import read_records
from flare.policy.config import small_preset
from flare.ranks import Ranks
from flare.recipes.cloning import Cloner, CloningConfig
from flare.specs import ACTION_NAMES, CameraSpec
from flare.tasks.instructions import Vocabulary
from flare.tasks.privileged import NUM_PRIVILEGED
from tests.policy.spoc.spoc_cases import TINY

CAMERA = CameraSpec(width=42, height=24, num_cameras=2)
WORDS = ("a", "an", "bed", "find", "for", "go", "locate", "navigate", "search", "sofa", "to")
torch.set_num_threads(1)  # on networks this small threads would only wait for each other


def make_agent(names=ACTION_NAMES):
    network = small_preset(
        camera=CAMERA, num_actions=len(names), vocab_size=len(WORDS) + 2,
        num_facts=NUM_PRIVILEGED, critic="facts", sees_hand=True, num_places=0,
    )  # fmt: skip
    return AgentConfig(network=network, words=WORDS, action_names=names, camera=CAMERA)


def make_cloner(names=ACTION_NAMES, **options):
    torch.manual_seed(0)
    agent = make_agent(names)
    return Cloner(
        agent, agent.build(), agent.vocabulary(),
        CloningConfig(**{"batch_size": 2, **options}), seed=3, ranks=Ranks(),
    )  # fmt: skip


def make_windows(lengths, num_actions=20):
    rng = np.random.default_rng(len(lengths))
    return [
        Window(
            frames=rng.integers(0, 255, (n, 2, 24, 42, 3), dtype=np.uint8),
            actions=rng.integers(0, num_actions, n),
            last_actions=np.concatenate([[20], rng.integers(0, num_actions, n - 1)]),
            time_ids=np.arange(n) + 7,
            in_hand=rng.integers(0, 2, n),
            instruction="find a bed" if n % 2 else "go to a sofa",
        )
        for n in lengths
    ]


LENGTHS = (3, 9, 5, 1)


def weights_after(cloner, batches):
    stats = cloner.step(0, batches)
    return stats, torch.cat([p.detach().flatten() for p in cloner.trained])


def test_passes_make_the_step_of_one_large_batch():
    """Although windows differ in length: the mean is over all steps, not of means."""
    windows = make_windows(LENGTHS)
    whole, one = weights_after(make_cloner(batch_size=4), [WindowBatch.of(windows)])
    parts, two = weights_after(
        make_cloner(accumulate=2), [WindowBatch.of(windows[:2]), WindowBatch.of(windows[2:])]
    )
    assert parts == pytest.approx(whole, rel=1e-4)
    torch.testing.assert_close(one, two, rtol=1e-3, atol=2e-6)


def test_padding_changes_nothing_and_the_loss_is_the_mean_over_real_steps():
    windows = make_windows(LENGTHS)
    cloner = make_cloner()
    cloner.policy.eval()
    loss, sums = cloner.loss_sums(WindowBatch.of(windows), 0)
    alone = [cloner.loss_sums(WindowBatch.of([window]), 0)[1] for window in windows]
    torch.testing.assert_close(sums, torch.stack(alone).sum(0), rtol=1e-5, atol=1e-4)
    assert sums[2] == sum(LENGTHS) and loss.item() == pytest.approx(sums[0].item())
    assert sums[0].item() / sum(LENGTHS) == pytest.approx(np.log(20), rel=0.3)


def test_a_policy_of_fewer_actions_learns_from_data_that_keeps_to_them():
    names = (*ACTION_NAMES[:3], "done")
    cloner = make_cloner(names)
    windows = make_windows((4, 6), num_actions=3)
    assert cloner.step(0, [WindowBatch.of(windows)])["imitation_loss"] > 0
    with pytest.raises(UserError, match="action that the policy does not have"):
        cloner.step(0, [WindowBatch.of(make_windows((40,)))])


@pytest.mark.parametrize(
    "precision", ["float32", "bfloat16", pytest.param("float16", marks=pytest.mark.slow)]
)
def test_a_batch_is_learnt_by_heart(precision):
    cloner = make_cloner(learning_rate=1e-2, precision=precision)
    batch = WindowBatch.of(make_windows((4, 3)))
    losses = [cloner.step(i, [batch])["imitation_loss"] for i in range(15)]
    assert losses[-1] < 0.7 * losses[0]


def test_rates():
    cosine = CloningConfig(learning_rate=1e-3, schedule="cosine", num_steps=100)
    assert [cosine.rate_at(s) for s in (0, 50, 100)] == pytest.approx([1e-3, 5e-4, 0.0])
    assert CloningConfig(learning_rate=1e-3).rate_at(70) == 1e-3
    with pytest.raises(UserError, match="eval_houses"):
        CloningConfig(eval_every=5)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Houses, trajectories in both layouts and a fresh small policy."""
    folder = tmp_path_factory.mktemp("cloning")
    config = GeneratorConfig(num_rooms=(2, 2), goal_types=("Bed", "Sofa"), num_goal_types=2)
    write_houses(folder / "h.jsonl", [generate_house(0, "train", i, config) for i in range(2)])
    common = ("collect", "--houses", folder / "h.jsonl", "--num-episodes", 6,
              "--world.num-envs", 3, "--task.sampler.target-types", "Bed", "Sofa")  # fmt: skip
    flare(*common, "--layout", "chores", "--out", folder / "d",
          "--world.camera.width", 64, "--world.camera.height", 48)  # fmt: skip
    flare(*common, "--out", folder / "d.h5", "--world.camera.width", 42,
          "--world.camera.height", 24, "--world.camera.num-cameras", 2)  # fmt: skip
    torch.manual_seed(0)
    agent = make_agent()
    save_checkpoint(folder / "fresh", Checkpoint(
        step=0, stage="import", model=agent.build().state_dict(), policy=to_dict(agent),
        recipe={}, trainer={}, metrics={},
    ))  # fmt: skip
    return folder


def flare(*arguments, expect=0):
    assert cli.main([str(each) for each in arguments]) == expect


def clone_arguments(place, name, data="d", *more):
    return (
        "pretrain", "--checkpoint", place / "fresh", "--demonstrations", place / data,
        "--runs", place / "runs", "--name", name, "--num-threads", 1, "--cloning.batch-size", 2,
        "--cloning.num-steps", 6, "--cloning.log-every", 1, "--cloning.checkpoint-every", 4,
        "--cloning.data.window.length", 10, "--cloning.data.num-workers", 2,
        "--cloning.schedule", "cosine", *more,
    )  # fmt: skip


def lines(run):
    records = read_records(run / "metrics.jsonl")
    return [{k: v for k, v in record.items() if k != "time"} for record in records]


def test_both_layouts_train_evaluate_and_go_on_exactly(place, capsys):
    flare(*clone_arguments(
        place, "whole", "d", "--cloning.eval-every", 3, "--cloning.eval-houses",
        place / "h.jsonl", "--cloning.eval-episodes", 2, "--task.max-steps", 20,
        "--task.sampler.target-types", "Bed", "Sofa", "--world.num-envs", 2,
    ))  # fmt: skip
    whole = place / "runs" / "whole"
    records = lines(whole)
    assert [r["step"] for r in records] == list(range(1, 7))
    assert ["success_rate" in r for r in records] == [False, False, True] * 2
    flare(*clone_arguments(place, "file", "d.h5"))
    assert len(lines(place / "runs" / "file")) == 6

    # Go back to the checkpoint of step 4 as if the machine had died after it.
    flare(*clone_arguments(place, "cut"))
    cut = place / "runs" / "cut"
    expected, last = lines(cut), (cut / "latest" / "model.safetensors").read_bytes()
    os.remove(cut / "latest")
    os.symlink("checkpoints/000000004", cut / "latest")
    for path in (cut / "checkpoints" / "000000006").iterdir():
        path.unlink()
    (cut / "checkpoints" / "000000006").rmdir()
    flare("pretrain", "--resume", cut)
    assert lines(cut) == expected
    assert (cut / "latest" / "model.safetensors").read_bytes() == last
    assert load_checkpoint(cut).step == 6
    # Evaluation takes nothing from the training.
    bare = [{k: v for k, v in r.items() if k != "success_rate"} for r in records]
    assert bare == expected


def test_a_batch_that_cannot_be_read_is_a_step_without_gradient():
    cloner = make_cloner()
    before = [p.detach().clone() for p in cloner.trained]
    stats = cloner.step(0, [None])
    assert stats["imitation_loss"] == stats["grad_norm"] == 0.0
    assert all(torch.equal(a, b) for a, b in zip(before, cloner.trained, strict=True))
    batch = WindowBatch.of(make_windows((4, 6)))
    half, one = weights_after(make_cloner(), [batch, None])
    whole, two = weights_after(make_cloner(), [batch])
    assert half == whole and torch.equal(one, two)


def on_two_ranks(place, name, *more):
    """flare pretrain on two processes, joined by gloo."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
        "-m", "flare", *map(str, clone_arguments(place, name, *more)),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return lines(place / "runs" / name)


def on_one_rank(place, name, batch_size, *more):
    arguments = list(clone_arguments(place, name, *more))
    arguments[arguments.index("--cloning.batch-size") + 1] = batch_size
    flare(*arguments)
    return lines(place / "runs" / name)


def assert_alike(one, two):
    assert len(one) == len(two) == 6
    for a, b in zip(one, two, strict=True):
        assert a.pop("stage") == b.pop("stage") == "pretrain"
        assert a == pytest.approx(b, rel=2e-3)


@pytest.mark.slow
def test_two_processes_do_what_one_does_with_twice_the_batch(place):
    # Two windows of each rank are one batch of four.
    assert_alike(on_one_rank(place, "one", 4), on_two_ranks(place, "two"))


@pytest.mark.slow
def test_two_processes_stay_together_when_one_cannot_read(place):
    """Half the episodes are damaged: at a window a batch a rank often has nothing to add."""
    shutil.copytree(place / "d", place / "half")
    for i, video in enumerate(sorted((place / "half").rglob("raw_navigation_camera__*.mp4"))):
        if i % 2:
            video.write_bytes(video.read_bytes()[:500])
    allowed = ("half", "--cloning.data.max-bad-share", 1.0)
    one = on_one_rank(place, "half_one", 2, *allowed)
    found = on_two_ranks(place, "half_two", *allowed, "--cloning.batch-size", 1)
    assert_alike(one, found)
    # That a rank had nothing to add did happen, and not to both at once only.
    loader = WindowLoader(
        place / "half",
        ChoresConfig(max_bad_share=1.0, num_workers=1, window=WindowConfig(length=10)),
        batch_size=1, seed=0, size=(24, 42), tell=lambda line: None,
    )  # fmt: skip
    batches = loader.batches()
    holes = [next(batches) is None for _ in range(12)]
    batches.close()
    assert any(a != b for a, b in zip(holes[::2], holes[1::2], strict=True))


def test_what_is_missing_is_named(place, capsys):
    flare("pretrain", "--checkpoint", place / "fresh", expect=2)
    assert "demonstrations" in capsys.readouterr().err
    flare("pretrain", expect=2)
    assert "houses" in capsys.readouterr().err


@pytest.mark.parametrize("augment", [False, True])
def test_a_policy_of_spocs_kind_learns_too(augment):
    """Frozen encoders stay as they are; a window keeps its draw of the augmentation."""
    torch.manual_seed(0)
    names = (*ACTION_NAMES[:4], "done")
    agent = AgentConfig(
        network=TINY, action_names=names, camera=CameraSpec(width=42, height=28, num_cameras=2)
    )
    policy, words = agent.build(), Vocabulary(WORDS, 8)
    config = CloningConfig(batch_size=2, learning_rate=3e-3, augment=augment)
    cloner = Cloner(agent, policy, words, config, seed=3, ranks=Ranks())
    frozen = {n: p.clone() for n, p in policy.named_parameters() if not p.requires_grad}
    windows = [
        replace(window, frames=np.random.default_rng(i).integers(
            0, 255, (len(window), 2, 28, 42, 3), dtype=np.uint8))
        for i, window in enumerate(make_windows((5, 3), num_actions=4))
    ]  # fmt: skip
    losses = [cloner.step(i, [WindowBatch.of(windows)])["imitation_loss"] for i in range(12)]
    assert losses[-1] < losses[0]
    assert frozen and all(
        torch.equal(frozen[n], dict(policy.named_parameters())[n]) for n in frozen
    )
