"""``flare play``: walk a house in the terminal, or unattended into a video."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flare.assembly import TaskConfig, WorldConfig, make_sampler
from flare.errors import UserError
from flare.houses.files import read_houses
from flare.houses.generator import GeneratorConfig
from flare.houses.sources import generated_item
from flare.play.keys import NEXT, QUIT, help_lines, meaning
from flare.play.session import PlaySession
from flare.play.terminal import Terminal
from flare.replay.command import FPS
from flare.replay.log import HouseSource, LogHeader
from flare.robots import load_robot
from flare.specs import CameraSpec
from flare.tasks.registry import check_name
from flare.video.encoding import codec_for, write_video
from flare.worlds.embedded import EmbeddedWorlds, load_house

EXPERT = "expert"
_HOLD = 8  # pictures that a video's last one stays


@dataclass(frozen=True, kw_only=True, slots=True)
class PlayConfig:
    """Configuration of ``flare play``."""

    houses: Path | None = None  # house file; None: a generated house
    index: int = 0  # which house, from 0
    assets: Path | None = None  # pack of `flare assets build`; None: proxies
    task: str = "ObjectNav"  # name of a task, e.g. Fetch or RoomVisit
    robot: str = "stretch"  # a name, or the path of a YAML file
    seed: int = 0  # of the episodes, and of a generated house
    max_steps: int = 0  # of an episode; 0: the original's
    # Names with blanks or commas between, a file of such, or "expert": one episode, unattended.
    actions: str | None = None
    video: Path | None = None  # .mp4 or .webm to write of an unattended episode
    log: Path | None = None  # episode log; None: play-0.jsonl, or the next number that is free
    camera: CameraSpec = field(default_factory=lambda: CameraSpec(width=192, height=112))

    def __post_init__(self) -> None:
        check_name(self.task, "task")
        for name in ("index", "seed"):
            if getattr(self, name) < 0:
                raise UserError(f"is {getattr(self, name)}", key=name, mend="give 0 or more")
        if self.video is not None and self.actions is None:
            raise UserError(
                "is of an unattended episode",
                key="video",
                mend="add --actions, or make one afterwards: flare replay LOG --video FILE",
            )


def run_play(config: PlayConfig) -> int:
    """``flare play``."""
    if config.video is not None:
        codec_for(config.video)  # before any work
    session = _session(config)
    path = config.log or _free_name()
    try:
        if config.actions is None:
            _play_by_hand(session)
        elif config.video is None:
            for _ in _unattended(session, config.actions, with_pictures=False):
                pass
        else:
            write_video(config.video, _unattended(session, config.actions), fps=FPS)
            print(f"wrote {config.video}")
    finally:  # what was played is never lost
        log = session.log()
        if log.episodes:
            log.write(path)
            print(f"wrote {path}: play it again with flare replay {path}")
    if config.actions is not None:
        print(f"{session.instruction}  |  {session.status()}")
    return 0


def _session(config: PlayConfig) -> PlaySession:
    source, document = _house(config)
    robot = load_robot(config.robot)
    house = load_house(document, source, robot, assets=config.assets)
    task = TaskConfig(names=(config.task,), max_steps=config.max_steps)
    mixture = task.build()
    world = WorldConfig(num_envs=1, num_threads=1, camera=config.camera).for_tasks(mixture)
    worlds = EmbeddedWorlds(
        [house], num_envs=1, robots=(robot,), camera=world.camera, action_names=world.action_names
    )
    houses = HouseSource(seed=config.seed)
    if config.houses is not None:
        houses = HouseSource.of_file(config.houses, config.assets)
    header = LogHeader.of(houses, robot, world.camera, world.action_names)
    sampler = make_sampler([house], task, config.seed, mixture=mixture)
    return PlaySession(worlds, sampler, header, document, config.index)


def _house(config: PlayConfig) -> tuple[str, str]:
    if config.houses is None:
        return generated_item(config.seed, "train", config.index, GeneratorConfig())
    items = read_houses(config.houses, limit=config.index + 1)
    if config.index >= len(items):
        raise UserError(
            f"there is no house {config.index}: the file holds {len(items)}",
            file=config.houses,
            key="index",
            mend=f"give an index up to {len(items) - 1}",
        )
    return items[config.index]


def _play_by_hand(session: PlaySession) -> None:
    """Keys until Q."""
    keys = help_lines(session.action_names)
    with Terminal() as terminal:
        while True:
            words = [session.instruction, session.status(), keys]
            width, height = terminal.room_for(words)
            terminal.show(session.view(width, height), words)
            wanted = meaning(terminal.read_key())
            if wanted == QUIT:
                return
            if wanted == NEXT:
                session.begin()
            elif wanted in session.action_names:
                session.step(wanted)


def _unattended(
    session: PlaySession, actions: str, *, with_pictures: bool = True
) -> Iterator[NDArray[np.uint8]]:
    """Play one episode; its pictures, the last one for a while."""
    names = None if actions == EXPERT else iter(_action_names(actions, session.action_names))
    picture = session.picture() if with_pictures else None
    while True:
        if picture is not None:
            yield picture
        name = session.expert_action() if names is None else next(names, None)
        if name is None or session.success is not None:
            break
        session.step(name)
        picture = session.picture() if with_pictures else None
    if picture is not None:
        yield from itertools.repeat(picture, _HOLD)


def _action_names(text: str, known: tuple[str, ...]) -> list[str]:
    """Names in a text or in the file that it names.

    Raises:
        UserError: no action, one that the task does not have, or an unreadable file.
    """
    file: Path | None = Path(text)
    try:
        content = Path(text).read_text(encoding="utf-8")
    except FileNotFoundError:
        file, content = None, text
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read ({error})", file=text, mend="check the file") from error
    names = content.replace(",", " ").split()
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise UserError(
            f"{wrong[0]!r} is no action here and no file" if wrong else "holds no action",
            file=file,
            key="actions",
            mend=f"use {', '.join(known)}, or {EXPERT}",
        )
    return names


def _free_name() -> Path:
    return next(
        path for path in (Path(f"play-{i}.jsonl") for i in itertools.count()) if not path.exists()
    )
