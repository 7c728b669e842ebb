"""What ``gymnasium.make`` and ``make_vec`` accept for the environments of flare."""

from dataclasses import dataclass, field
from pathlib import Path

from flare.assembly import TaskConfig, WorldConfig
from flare.errors import UserError
from flare.houses.sources import GENERATED, Houses
from flare.robots import RobotSpec, load_robot
from flare.specs import CameraSpec
from flare.tasks.rewards import RewardConfig
from flare.tasks.sampler import SamplerConfig

INSTRUCTIONS = ("text", "tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvOptions:
    """Keyword arguments of the environments, checked."""

    task: str = "ObjectNav"  # set by the environment's id
    mixture: dict[str, float] = field(default_factory=dict)  # in place of task: task to weight
    houses: Houses = GENERATED  # or a house file, or house documents
    assets: Path | None = None  # pack of `flare assets build`; None: proxies
    num_houses: int = 8  # generated, or the most that are read of a file
    # Of generated houses, and of the episodes until reset(seed=...) gives another; None: houses of
    # seed 0, and episodes that nobody can foresee.
    seed: int | None = None
    robot: str | RobotSpec = "stretch"  # a name, the path of a YAML file, or a specification
    width: int = 84  # px of a frame
    height: int = 48  # px
    max_steps: int = 0  # of an episode; 0: the original's
    instruction: str = "text"  # or "tokens": word ids of the tasks' closed vocabulary
    reward: RewardConfig = field(default_factory=RewardConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    num_threads: int = 0  # simulator threads; 0: one per core

    def __post_init__(self) -> None:
        if self.instruction not in INSTRUCTIONS:
            raise UserError(
                f"is {self.instruction!r}",
                key="instruction",
                mend=f"choose among {', '.join(INSTRUCTIONS)}",
            )
        if self.seed is not None and self.seed < 0:
            raise UserError(f"is {self.seed}", key="seed", mend="use 0 or more")

    def robot_spec(self) -> RobotSpec:
        """The robot, read."""
        return self.robot if isinstance(self.robot, RobotSpec) else load_robot(self.robot)

    def task_config(self) -> TaskConfig:
        """Tasks and which episodes of them are drawn."""
        return TaskConfig(
            names=(self.task,),
            mixture=self.mixture,
            max_steps=self.max_steps,
            reward=self.reward,
            sampler=self.sampler,
        )

    def world_config(self, num_envs: int) -> WorldConfig:
        """N worlds with these frames; actions and second camera are the tasks' to say."""
        return WorldConfig(
            num_envs=num_envs,
            num_threads=self.num_threads,
            camera=CameraSpec(width=self.width, height=self.height),
        )
