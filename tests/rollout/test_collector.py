"""The collector over real embedded worlds: what a rollout holds, and going on exactly."""

import json

import numpy as np
import pytest
import torch

from flare.assembly import TaskConfig, WorldConfig, make_sampler, make_worlds
from flare.houses.generator import GeneratorConfig, generate_house
from flare.ppo.config import PPOConfig
from flare.ppo.update import make_optimizer, ppo_update
from flare.recipes.pretrain import make_agent
from flare.rollout.collector import Collector, CollectorConfig
from flare.specs import CameraSpec
from flare.tasks.sampler import SamplerConfig
from flare.timing import Timer
from flare.worlds.embedded import load_house

TYPES = ("Bed", "Sofa")
TASK = TaskConfig(max_steps=9, sampler=SamplerConfig(target_types=TYPES))
WORLD = WorldConfig(num_envs=6, num_threads=1, camera=CameraSpec(width=42, height=24)).for_tasks(
    TASK.build()
)


@pytest.fixture(scope="module")
def houses():
    config = GeneratorConfig(num_rooms=(2, 2), goal_types=TYPES, num_goal_types=2)
    documents = [generate_house(0, "train", i, config) for i in range(2)]
    return [load_house(json.dumps(d), f"house {i}") for i, d in enumerate(documents)]


def make(houses, memory="carry", critic="facts", num_steps=7, task=TASK, **options):
    torch.manual_seed(0)
    agent = make_agent(WORLD, task, TYPES, critic)
    policy = agent.build().eval()
    ended = []
    collector = Collector(
        worlds=make_worlds(houses, WORLD), sampler=make_sampler(houses, task, 1),
        policy=policy, vocabulary=agent.vocabulary(), on_episode=ended.append,
        config=CollectorConfig(num_steps=num_steps, memory=memory, **options),
    )  # fmt: skip
    return collector, policy, ended


@pytest.mark.parametrize("memory", ["reset", "carry"])
@pytest.mark.parametrize("critic", ["facts", "tower"])
def test_the_update_sees_what_the_worlds_saw(houses, memory, critic):
    collector, policy, _ = make(houses, memory, critic)
    collector.start()
    for _ in range(3):  # episodes of nine steps run over the rollouts' ends
        rollout = collector.collect(Timer())
        with torch.no_grad():
            out = policy.evaluate_actions(
                rollout.obs, rollout.actions, rollout.episode_start, rollout.prefix
            )
        torch.testing.assert_close(out.log_prob, rollout.log_probs, atol=1e-4, rtol=0)
        torch.testing.assert_close(out.value, rollout.values, atol=1e-4, rtol=0)
        collector.rewind()


def test_first_epoch_ratios_are_one_in_the_update(houses):
    collector, policy, _ = make(houses)
    collector.start()
    collector.collect(Timer())
    collector.rewind()
    rollout = collector.collect(Timer())
    config = PPOConfig(critic_warmup_steps=0)
    stats = ppo_update(
        policy, make_optimizer(policy, config), rollout, config, progress=0.0, step=0
    )
    assert stats["first_epoch_ratio_max_error"] < 1e-4


def test_a_cut_episode_keeps_the_value_of_its_last_observation(houses):
    collector, policy, ended = make(houses, num_steps=9)
    never_done = policy.actor_head.bias.data
    never_done[collector.worlds.action_names.index("done")] = -1e9
    collector.start()
    collector.collect(Timer())
    arrays = collector._arrays
    assert [episode.end for episode in ended] == ["limit"] * WORLD.num_envs
    assert arrays["truncated"][-1].all() and not arrays["terminated"].any()
    assert (arrays["final_value"][-1] != 0).all()
    # delta = r + gamma V(final) - V(t) at the last step, whose recursion is cut.
    delta = 0.99 * arrays["final_value"][-1] - arrays["value"][8]
    np.testing.assert_allclose(arrays["advantage"][8], delta, atol=1e-6)
    assert (arrays["time_step"][9] == 0).all()


class SometimesFaulty:
    """Real worlds, one of which is said to have failed in some steps: it shows nonsense then."""

    def __init__(self, worlds, env, steps):
        self._worlds, self._env, self._steps, self._count = worlds, env, steps, 0
        self.faulted = np.zeros(worlds.num_envs, bool)

    def __getattr__(self, name):
        return getattr(self._worlds, name)

    def step(self, actions, frames, facts, draw=None):
        self._worlds.step(actions, frames, facts, draw)
        self.faulted[self._env] = self._count in self._steps
        self._count += 1
        if self.faulted.any():
            frames[self._env] = 255
            facts[self._env]["position"] = np.nan


def test_a_world_that_fails_loses_its_step_and_starts_the_next_episode(houses):
    collector, policy, ended = make(houses, num_steps=8)
    policy.actor_head.bias.data[collector.worlds.action_names.index("done")] = -1e9
    collector.worlds = SometimesFaulty(collector.worlds, env=2, steps={4})
    collector.start()
    rollout = collector.collect(Timer())
    arrays = collector._arrays
    lost = np.zeros((8, WORLD.num_envs), bool)
    lost[4, 2] = True
    np.testing.assert_array_equal(rollout.valid.numpy(), ~lost)
    assert ended == [], "the episode is not reported"
    assert arrays["truncated"][4, 2] and collector.episode.tolist() == [0, 0, 1, 0, 0, 0]
    assert arrays["time_step"][:, 2].tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    assert arrays["advantage"][4, 2] == 0 and arrays["return"][4, 2] == arrays["value"][4, 2]
    delta = arrays["reward"][3, 2] + 0.99 * arrays["value"][4, 2] - arrays["value"][3, 2]
    np.testing.assert_allclose(arrays["advantage"][3, 2], delta, atol=1e-6)
    config = PPOConfig(critic_warmup_steps=0)
    stats = ppo_update(
        policy, make_optimizer(policy, config), rollout, config, progress=0.0, step=0
    )
    assert stats["first_epoch_ratio_max_error"] < 1e-4


def test_the_original_counts_the_limit_as_an_end(houses):
    collector, policy, _ = make(houses, num_steps=9, truncation_is_terminal=True)
    policy.actor_head.bias.data[collector.worlds.action_names.index("done")] = -1e9
    collector.start()
    collector.collect(Timer())
    arrays = collector._arrays
    np.testing.assert_allclose(arrays["advantage"][8], -arrays["value"][8], atol=1e-6)


def test_going_on_from_a_saved_state_gives_the_same_bits(houses):
    first, policy, _ = make(houses)
    first.start()
    for _ in range(2):
        first.collect(Timer())
        first.rewind()
    state = first.state_dict()
    second, other, _ = make(houses)
    other.load_state_dict(policy.state_dict())
    second.load_state_dict(state)
    for _ in range(2):
        ours, theirs = first.collect(Timer()), second.collect(Timer())
        for name in ("frames", "facts", "action", "log_prob", "reward", "advantage", "tokens"):
            np.testing.assert_array_equal(first._arrays[name], second._arrays[name], name)
        assert torch.equal(ours.returns, theirs.returns)
        first.rewind()
        second.rewind()


def test_another_number_of_worlds_is_refused(houses):
    collector, _, _ = make(houses)
    collector.start()
    state = collector.state_dict()
    state["episode"] = state["episode"][:3]
    with pytest.raises(Exception, match="num_envs"):
        collector.load_state_dict(state)
