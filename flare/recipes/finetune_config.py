"""Configuration of fine-tuning with PPO, and its presets."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from flare.assembly import (
    TaskConfig,
    WorldConfig,
    check_device,
    check_limit,
    check_torch_threads,
)
from flare.errors import require
from flare.ppo.config import PRESETS, PPOConfig
from flare.rng import check_seed
from flare.rollout.collector import CollectorConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneConfig:
    """Configuration of ``flare finetune``."""

    checkpoint: Path | None = None  # run or checkpoint folder to start from
    houses: Path | None = None  # house file to train in
    max_houses: int | None = None  # read only this many
    runs: Path = Path("runs")  # folder of runs
    name: str | None = None  # of the run; None: the time
    seed: int = 0
    total_steps: int = 1_000_000  # environment steps of all worlds together
    checkpoint_every: int = 50  # iterations
    num_threads: int = 0  # of PyTorch; 0: one per core
    device: Literal["cpu", "cuda"] = "cpu"  # where the policy acts and learns
    # What it computes in. "bfloat16": steps are taken on float32 weights, of which those that
    # compute are roundings; checkpoints hold the former.
    precision: Literal["float32", "bfloat16"] = "float32"
    world: WorldConfig = field(default_factory=WorldConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    collector: CollectorConfig = field(default_factory=CollectorConfig)
    ppo: PPOConfig = field(default_factory=PPOConfig)
    # "flare": the original's update, rollout length, memory and limit treatment; "demo": for the
    # small policy. Replaces the sections ppo and collector; None keeps them as given.
    preset: Literal["flare", "demo"] | None = None
    resume: Path | None = None  # run folder to go on with; its own config counts, not this one

    def __post_init__(self) -> None:
        for name in ("total_steps", "checkpoint_every"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        check_limit(self.max_houses)
        check_seed(self.seed)
        check_torch_threads(self.num_threads)
        check_device(self.device)


def with_preset(config: FinetuneConfig) -> FinetuneConfig:
    """The config with its preset spelled out in the sections ppo and collector."""
    if config.preset is None:
        return config
    collectors = {
        "flare": CollectorConfig(
            num_steps=128,
            memory="reset",
            truncation_is_terminal=True,
            compat_sensors=True,
            augment=config.collector.augment,  # only networks with a frozen image encoder can
        ),
        "demo": CollectorConfig(),
    }
    return replace(
        config, ppo=PRESETS[config.preset](), collector=collectors[config.preset], preset=None
    )
