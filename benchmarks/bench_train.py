"""One PPO iteration of the demo's size: whole, and its parts simulate, infer and update.

"flare" is the whole iteration, "collect" its rollout, "update" its epochs on a kept rollout. The
limit is the update's matrix products alone: as many multiply-adds as its forward and backward
passes need, as one large product on the same number of threads.
"""

import contextlib
import json
from collections.abc import Iterator

import torch

from benchmarks.run import Case, Contenders
from flare.assembly import TaskConfig, WorldConfig, make_sampler, make_worlds
from flare.houses.generator import generate_house
from flare.ppo.update import Anchor, make_optimizer, ppo_update
from flare.recipes.demo import GOAL_TYPES, DemoConfig, generator_config
from flare.recipes.pretrain import make_agent
from flare.rollout.collector import Collector, CollectorConfig
from flare.tasks.sampler import SamplerConfig
from flare.timing import Timer
from flare.worlds.embedded import load_house

NUM_HOUSES = 16
NUM_ENVS = 64
SIZE = 1024  # of the limit's square product


def make_collector() -> Collector:
    """The demo's worlds and policy, untrained."""
    torch.manual_seed(0)
    config = generator_config(DemoConfig())
    documents = [generate_house(0, "train", i, config) for i in range(NUM_HOUSES)]
    houses = [load_house(json.dumps(d), f"generated {i}") for i, d in enumerate(documents)]
    task = TaskConfig(max_steps=100, sampler=SamplerConfig(target_types=GOAL_TYPES))
    world = WorldConfig(num_envs=NUM_ENVS).for_tasks(task.build())
    agent = make_agent(world, task, GOAL_TYPES)
    policy = agent.build()
    policy.image_encoder.requires_grad_(False)
    collector = Collector(
        worlds=make_worlds(houses, world), sampler=make_sampler(houses, task, 0),
        policy=policy, vocabulary=agent.vocabulary(), config=CollectorConfig(),
        on_episode=lambda _: None,
    )  # fmt: skip
    collector.start()
    return collector


def update_products(collector: Collector, num_epochs: int) -> int:
    """Products of SIZE x SIZE matrices with the multiply-adds of one update.

    Each weight of the actor behind the image encoder and of the critic meets every step once
    forward and twice backward (Kaplan et al. 2020, section 2.1); attention comes on top.
    """
    policy = collector.policy
    weights = policy.num_parameters(trainable_only=True)
    steps = NUM_ENVS * collector.config.num_steps
    return max(1, round(3 * weights * steps * num_epochs / SIZE**3))


@contextlib.contextmanager
def iteration_setup() -> Iterator[Contenders]:
    """Whole iteration, collection alone, update alone, products alone."""
    collector, config = make_collector(), DemoConfig().ppo
    policy = collector.policy
    optimizer, anchor, timer = make_optimizer(policy, config), Anchor(policy), Timer()
    past_warmup = config.critic_warmup_max_steps + config.critic_warmup_steps
    products = update_products(collector, config.num_epochs)
    left, right = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)

    def collect() -> object:
        rollout = collector.collect(timer)
        collector.rewind()
        return rollout

    kept = collector.collect(timer)

    def update(rollout: object = kept) -> None:
        ppo_update(
            policy, optimizer, rollout, config,  # type: ignore[arg-type]
            progress=0.5, step=past_warmup, anchor=anchor,
        )  # fmt: skip

    def multiply() -> None:
        for _ in range(products):
            left @ right

    yield Contenders(
        {
            "flare": lambda: update(collect()),
            "collect": collect,
            "update": update,
            "products": multiply,
        }
    )


CASES = [
    Case(
        id=f"train.iteration/N={NUM_ENVS}",
        unit="env steps/s",
        work=NUM_ENVS * CollectorConfig().num_steps,
        setup=iteration_setup,
        limit="products",
        config={"frames": "84x48", "num_envs": NUM_ENVS},
    )
]
