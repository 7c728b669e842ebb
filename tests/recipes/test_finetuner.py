import contextlib
import json

import pytest
import torch

from flare.agent import AgentConfig
from flare.assembly import TaskConfig, WorldConfig, load_house_file
from flare.checkpoint import load_checkpoint
from flare.config import from_dict
from flare.errors import UserError
from flare.houses.files import write_houses
from flare.ppo.config import PPOConfig, demo_preset
from flare.recipes.finetune_config import FinetuneConfig, with_preset
from flare.recipes.finetuner import Finetuner
from flare.recipes.pretrain import make_agent
from flare.rollout.collector import CollectorConfig
from flare.run_folder import RunFolder, make_manifest
from flare.specs import CameraSpec
from flare.tasks.sampler import SamplerConfig
from tests.worlds.two_rooms import two_rooms

GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
TASK = TaskConfig(max_steps=6, sampler=SamplerConfig(target_types=("Sofa",)))
WORLD = WorldConfig(num_envs=4, num_threads=1, camera=CameraSpec(width=42, height=24)).for_tasks(
    TASK.build()
)


def test_the_flare_preset_carries_the_originals_numbers():
    config = with_preset(FinetuneConfig(preset="flare"))
    ppo, collector = config.ppo, config.collector
    assert (ppo.num_epochs, ppo.num_minibatches, ppo.clip_coef) == (4, 1, 0.1)
    assert (ppo.actor_learning_rate, ppo.critic_learning_rate, ppo.adam_eps) == (2e-5, 2e-5, 1e-8)
    assert (ppo.value_loss_coef, ppo.entropy_coef, ppo.max_grad_norm) == (0.5, 0.0, 0.5)
    assert not ppo.normalize_advantages
    assert ppo.critic_warmup_steps == 200_000
    assert (collector.num_steps, collector.gamma, collector.gae_lambda) == (128, 0.99, 0.95)
    assert (collector.memory, collector.truncation_is_terminal) == ("reset", True)
    assert collector.compat_sensors


def test_the_demo_preset_and_none():
    assert with_preset(FinetuneConfig(preset="demo")).ppo == demo_preset()
    plain = FinetuneConfig()
    assert with_preset(plain) is plain


@contextlib.contextmanager
def tuner_of(folder, houses, config, agent, *, checkpoint=None):
    """A run in a folder, new or going on from a checkpoint; the weights are always the same."""
    run = RunFolder(folder)
    if checkpoint is None:
        run = RunFolder.create(folder.parent, folder.name, prefix="finetune")
        run.describe(config, make_manifest(recipe="finetune", seed=0, inputs={}))
    torch.manual_seed(0)
    tuner = Finetuner(agent=agent, policy=agent.build(),
                      houses=load_house_file(houses), config=config, run=run)  # fmt: skip
    if checkpoint is None:
        tuner.start()
    else:
        tuner.resume(checkpoint)
    with contextlib.closing(tuner):
        yield tuner


def numbers(record):
    return {name: value for name, value in record.items() if name != "time"}


@pytest.mark.parametrize(
    ("critic", "memory"), [("facts", "carry"), ("tower", "carry"), ("tower", "reset")]
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
def test_a_resumed_run_equals_an_uninterrupted_one(device, precision, critic, memory, tmp_path):
    houses = tmp_path / "houses.jsonl.gz"
    write_houses(houses, [json.loads(two_rooms())])
    agent = make_agent(WORLD, TASK, ("Sofa",), critic)
    config = FinetuneConfig(
        houses=houses, device=device, precision=precision, world=WORLD, task=TASK, total_steps=144,
        collector=CollectorConfig(num_steps=9, memory=memory),
        ppo=PPOConfig(num_epochs=2, critic_warmup_steps=20),
    )  # fmt: skip
    with tuner_of(tmp_path / "whole", houses, config, agent) as tuner:
        expected = [numbers(tuner.iterate()) for _ in range(4)]
        wanted = load_checkpoint(tuner.save())
    with tuner_of(tmp_path / "cut", houses, config, agent) as tuner:
        got = [numbers(tuner.iterate()) for _ in range(2)]
        checkpoint = load_checkpoint(tuner.save())
    assert from_dict(checkpoint.policy, AgentConfig, file=tmp_path) == agent
    with tuner_of(tmp_path / "cut", houses, config, agent, checkpoint=checkpoint) as tuner:
        got += [numbers(tuner.iterate()) for _ in range(2)]
        assert tuner.policy.device.type == device
        assert tuner.policy.feature_dtype == getattr(torch, precision)
        final = load_checkpoint(tuner.save())
    assert json.dumps(got) == json.dumps(expected)
    assert expected[-1]["first_epoch_ratio_max_error"] < (1e-4 if precision == "float32" else 0.1)
    assert all(torch.equal(final.model[name], t) for name, t in wanted.model.items())
    assert {t.dtype for t in wanted.model.values() if t.is_floating_point()} == {torch.float32}


@pytest.fixture
def tuner(tmp_path):
    houses = tmp_path / "houses.jsonl.gz"
    write_houses(houses, [json.loads(two_rooms())])
    config = FinetuneConfig(
        houses=houses, world=WORLD, task=TASK, collector=CollectorConfig(num_steps=5),
        ppo=PPOConfig(num_epochs=1, critic_warmup_steps=0),
    )  # fmt: skip
    with tuner_of(tmp_path / "run", houses, config, make_agent(WORLD, TASK, ("Sofa",))) as tuner:
        yield tuner


def test_updates_that_are_not_finite_are_skipped_and_end_the_run_when_they_go_on(tuner):
    first = next(tuner.policy.critic_head.parameters())
    with torch.no_grad():
        first[0, 0] = float("nan")
    before = {name: t.clone() for name, t in tuner.policy.state_dict().items()}
    records = [tuner.iterate() for _ in range(2)]
    assert [(r["skipped"], r["gradient_steps"]) for r in records] == [(1.0, 0.0)] * 2
    after = tuner.policy.state_dict()
    assert all(torch.equal(after[n].nan_to_num(), t.nan_to_num()) for n, t in before.items())
    lines = tuner.run.metrics.read_text().splitlines()
    assert json.loads(lines[-1])["policy_loss"] is None
    with pytest.raises(UserError, match="not finite in 3 updates in a row"):
        tuner.iterate()


def test_an_update_that_is_finite_again_starts_the_count_anew(tuner):
    first = next(tuner.policy.critic_head.parameters())
    good = first[0, 0].item()
    for broken in (True, True, False, True, True):
        with torch.no_grad():
            first[0, 0] = float("nan") if broken else good
        assert tuner.iterate()["skipped"] == float(broken)


def test_the_byte_plan_counts_what_is_there(tuner):
    plan = tuner.collector.byte_plan()
    n, t = WORLD.num_envs, 5
    assert plan["frames"] == (t + 1) * n * 24 * 42 * 3
    assert plan["features"] == (t + 1) * n * tuner.policy.num_features * 4
    text = tuner.byte_plan()
    assert text.startswith("memory: ") and "weights, gradients and optimizer" in text
    assert tuner.state.optimizer.num_bytes >= 4 * 4 * tuner.policy.num_parameters()


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="PyTorch finds no GPU"):
        FinetuneConfig(device="cuda")
