"""What an evaluation leaves on disk: frozen episodes, records, summary, frames for videos."""

from pathlib import Path

import numpy as np

from flare.atomic import atomic_path, make_directory, write_text
from flare.errors import UserError
from flare.evaluation.episode_files import EpisodeFile, EpisodeSpec, file_sha256
from flare.evaluation.evaluate import Evaluation, FrozenEpisodes
from flare.evaluation.summary import Summary, write_summary
from flare.metrics import json_line
from flare.run_folder import RunFolder
from flare.tasks.mixture import TaskMixture
from flare.tasks.registry import TASK_NAMES
from flare.tasks.sampler import Episodes, describe_goal
from flare.tasks.scene import MAX_ROOMS, Goal
from flare.worlds.embedded import EPISODE_DTYPE, House

_VIDEOS = 3  # kept of each evaluation


def save_frozen(
    path: Path, frozen: FrozenEpisodes, house_file: Path, houses: list[House],
    mixture: TaskMixture, split: str = "val",
) -> str:  # fmt: skip
    """Freeze episodes in a file; returns its hash."""
    episodes = frozen.episodes
    specs = [
        EpisodeSpec(
            episode=i,
            house=int(spec["house"]),
            house_hash=f"{houses[int(spec['house'])].hash:016x}",
            start=(float(spec["x"]), float(spec["z"]), float(spec["yaw_deg"])),
            task=TASK_NAMES[int(spec["task"])],
            targets=tuple(int(t) for t in spec["targets"][: spec["num_targets"]]),
            rooms=tuple(r for r in range(MAX_ROOMS) if int(spec["target_rooms"]) >> r & 1),
            target_type=episodes.target_types[i],
            instruction=episodes.instructions[i],
            seed=int(spec["seed"]),
            expert_length=frozen.expert_lengths[i],
            shortest_path=float(episodes.shortest_paths[i]),
        )
        for i, spec in enumerate(episodes.specs)
    ]
    file = EpisodeFile(
        split=split, task=mixture.name, house_file=house_file.name,
        house_file_sha256=file_sha256(house_file), episodes=tuple(specs),
    )  # fmt: skip
    return file.write(path)


def load_frozen(path: Path, house_file: Path, mixture: TaskMixture) -> FrozenEpisodes:
    """Read frozen episodes and check them against the houses they were frozen on.

    Raises:
        UserError: other houses, a damaged file, or an episode of a task not in the mixture.
    """
    file = EpisodeFile.read(path, house_file=house_file)
    tasks = {task.name: task for task in mixture.tasks}
    specs = np.zeros(len(file.episodes), EPISODE_DTYPE)
    for i, episode in enumerate(file.episodes):
        if episode.task not in tasks:
            raise UserError(
                f"episode {i} is of the task {episode.task}, evaluated are {', '.join(tasks)}",
                file=path, key="task.names", mend=f"add {episode.task}, or freeze new episodes",
            )  # fmt: skip
        row = specs[i : i + 1]
        row["seed"], row["house"] = episode.seed, episode.house
        row["x"], row["z"], row["yaw_deg"] = episode.start
        describe_goal(row, tasks[episode.task], episode.targets, episode.rooms)
    episodes = Episodes(
        specs=specs,
        target_types=[episode.target_type for episode in file.episodes],
        instructions=[episode.instruction for episode in file.episodes],
        shortest_paths=np.array([e.shortest_path for e in file.episodes], np.float32),
        goals=[
            Goal(label=e.target_type, words=e.instruction, targets=e.targets, rooms=e.rooms)
            for e in file.episodes
        ],
    )
    return FrozenEpisodes(
        episodes=episodes, expert_lengths=[episode.expert_length for episode in file.episodes]
    )


def write_evaluation(
    run: RunFolder, stage: str, result: Evaluation, action_names: tuple[str, ...]
) -> Summary:
    """Write ``eval/<stage>.jsonl``, its summary, and the frames for the report's videos."""
    path = run.evaluation(stage)
    make_directory(path.parent)
    save_videos(run, stage, result, action_names)
    write_text(path, b"".join(json_line(record) for record in result.records).decode())
    return write_summary(run.path, stage, expected=len(result.records))


def save_videos(
    run: RunFolder, stage: str, result: Evaluation, action_names: tuple[str, ...]
) -> None:
    """Frames, actions, values and probabilities of a few traced episodes, successes first."""
    folder = make_directory(run.path / "videos")
    order = sorted(result.traces, key=lambda e: (not result.records[e]["success"], e))
    wins = [e for e in order if result.records[e]["success"]]
    losses = [e for e in order if not result.records[e]["success"]]
    for episode in [*wins[: _VIDEOS - 1], *losses[:1], *wins[_VIDEOS - 1 :]][:_VIDEOS]:
        trace, record = result.traces[episode], result.records[episode]
        with atomic_path(folder / f"{stage}_{episode:04d}.npz") as path, open(path, "wb") as file:
            np.savez_compressed(
                file,
                frames=np.stack([frame[0] for frame in trace.frames]),
                actions=np.array(trace.actions),
                values=np.array(trace.values, np.float32),
                action_probs=np.stack(trace.action_probs),
                action_names=np.array(action_names),
                instruction=np.array(record["instruction"]),
                success=np.array(record["success"]),
            )
