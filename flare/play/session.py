"""One world and the episodes that a person or a list of actions plays in it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare.replay.command import EpisodePainter
from flare.replay.log import EpisodeLog, LoggedEpisode, LogHeader, LogRecorder
from flare.rollout.player import StepView
from flare.tasks.sampler import Episodes, EpisodeSampler
from flare.worlds.embedded import EmbeddedWorlds

_WORLD = np.zeros(1, np.int64)


class PlaySession:
    """The running episode of one world, and a trace of everything that was played."""

    def __init__(
        self,
        worlds: EmbeddedWorlds,
        sampler: EpisodeSampler,
        header: LogHeader,
        document: str,
        house: int,
    ) -> None:
        """Begin the first episode.

        Args:
            worlds: one world over one house.
            sampler: draws the episodes; k has the key (seed, 0, k).
            header: of the log.
            document: JSON text of the house, for the plan.
            house: its index where the header says that houses come from.
        """
        self._worlds, self._sampler, self._header = worlds, sampler, header
        self._document, self._house = document, house
        self._recorder = LogRecorder()
        self._logged: list[LoggedEpisode] = []
        self._frames = np.zeros((1, *worlds.camera.frame_shape), np.uint8)
        self._facts = np.zeros(1, worlds.facts_dtype)
        self._number = -1
        self.begin()

    def begin(self) -> None:
        """The next episode; the one before goes to the log."""
        self._keep()
        self._number += 1
        self._episodes: Episodes = self._sampler.sample(_WORLD, np.array([self._number]))
        self._worlds.reset(_WORLD.astype(np.int32), self._episodes.specs, self._frames, self._facts)
        self.success: bool | None = None  # of the episode; None: it runs
        self.last_action = "start"
        self._is_kept = False
        self._observe(len(self._worlds.action_names))
        self.painter = EpisodePainter(self._document, self._targets(), self.instruction)

    @property
    def instruction(self) -> str:
        """What the running episode asks for."""
        return self._episodes.instructions[0]

    @property
    def fact(self) -> Any:  # noqa: ANN401 (a structured row)
        """The present facts."""
        return self._facts[0]

    @property
    def action_names(self) -> tuple[str, ...]:
        """What ``step`` takes."""
        return self._worlds.action_names

    def step(self, name: str) -> None:
        """Execute one action unless the episode is over."""
        if self.success is not None:
            return
        action = self._worlds.action_names.index(name)
        self._worlds.step(np.array([action], np.int64), self._frames, self._facts)
        judged = self._sampler.mixture.judge(self._facts)
        self.last_action = name
        self._observe(action)
        if judged.terminated[0] or judged.truncated[0]:
            self.success = bool(judged.success[0])

    def expert_action(self) -> str:
        """What the shortest-path expert would do now."""
        return self._worlds.action_names[int(self._worlds.expert_actions()[0])]

    def view(self, width: int, height: int) -> NDArray[np.uint8]:
        """The robot's cameras side by side, [height, width, 3] uint8."""
        count = self._worlds.camera.num_cameras
        ids, each = np.zeros(1, np.int32), max(8, width // count)
        images = [
            self._worlds.render(ids, camera=i, width=each, height=max(8, height))[0][0]
            for i in range(count)
        ]
        return np.concatenate(images, axis=1)[:height, :width]

    def picture(self) -> NDArray[np.uint8]:
        """The present moment for a video."""
        return self.painter.draw(self._worlds, self.fact, self.last_action, self.success)

    def status(self) -> str:
        """The facts that matter to a person, in one line."""
        fact = self.fact
        room = (
            self._sampler.houses[0].rooms()[int(fact["room"])]["type"] if fact["room"] >= 0 else "-"
        )
        parts = [f"step {int(fact['step'])}", self.last_action, f"room {room}"]
        if fact["step"] and not fact["last_action_success"]:
            parts.append("blocked" if fact["collided"] else "failed")
        if fact["target_geodesic"] >= 0:
            parts.append(f"{float(fact['target_geodesic']):.2f} m to walk")
        if fact["target_visible"]:
            parts.append("target in sight within 2 m")
        if fact["held_object"] >= 0:
            parts.append("object in hand")
        if self.success is not None:
            parts.append("SUCCESS" if self.success else "FAILURE")
        return "  |  ".join(parts)

    def log(self) -> EpisodeLog:
        """Everything played so far."""
        self._keep()
        return EpisodeLog(header=self._header, episodes=tuple(self._logged))

    def _observe(self, prev_action: int) -> None:
        view = StepView(
            self._frames,
            self._facts,
            np.array([prev_action]),
            np.array([self._number]),
            self._facts["step"].astype(np.int64),
        )
        self._recorder.on_observation(view, _WORLD)

    def _keep(self) -> None:
        """Put the running episode into the log, once, if there is one with an action."""
        if self._number < 0 or self._is_kept or self.fact["step"] == 0:
            return
        self._is_kept = True
        self._logged.append(
            self._recorder.episode(
                self._number, self._episodes.specs[0], self.instruction, self._worlds.houses,
                self.success, house=self._house,
            )
        )  # fmt: skip

    def _targets(self) -> list[str]:
        spec, objects = self._episodes.specs[0], self._worlds.houses[0].objects()
        return [objects[target]["id"] for target in spec["targets"][: spec["num_targets"]]]
