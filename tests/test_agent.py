"""Agents of earlier checkpoints."""

import numpy as np
import torch

from flare.agent import AgentConfig
from flare.assembly import TaskConfig, WorldConfig
from flare.config import from_dict, to_dict
from flare.policy.observation import Observation
from flare.recipes.pretrain import make_agent
from flare.tasks.privileged import NUM_PRIVILEGED

_FIRST_PRIVILEGED = 11  # features of the critic when there was ObjectNav alone


def test_a_checkpoint_from_before_the_other_tasks_keeps_its_meaning():
    task = TaskConfig()
    agent = make_agent(WorldConfig().for_tasks(task.build()), task, ("Bed", "Sofa"))
    saved = to_dict(agent)
    del saved["max_words"], saved["network"]["sees_hand"], saved["network"]["num_places"]
    saved["network"]["num_facts"] = _FIRST_PRIVILEGED
    old = from_dict(saved, AgentConfig)
    assert old.vocabulary().max_words == 8
    policy = old.build()
    step = Observation(
        features=torch.zeros(2, policy.num_features),
        tokens=torch.from_numpy(old.vocabulary().encode(["find a bed", "find a sofa"])),
        prev_action=torch.full((2,), policy.num_actions),
        time_step=torch.zeros(2, dtype=torch.long),
        in_hand=torch.zeros(2, dtype=torch.long),
        facts=torch.randn(2, NUM_PRIVILEGED),
    )
    value = policy.act(step, policy.new_cache(2, 1), None).value
    expected = policy.critic_head.layers(step.facts[:, :_FIRST_PRIVILEGED])[:, 0]
    np.testing.assert_allclose(value.numpy(), expected.detach().numpy(), rtol=1e-5)
