"""What can be downloaded, from where, and where it belongs: the public names of FLaRe and SPOC."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flare.assets.locations import VERSION, data_folder
from flare.errors import UserError

What = Literal["houses", "assets", "annotations", "data", "checkpoints"]
Types = Literal["astar", "fifteen", "all"]

_HOUSES = f"https://pub-5932b61898254419952f5b13d42d82ab.r2.dev/procthor_objaverse%2F{VERSION}%2F"
_OBJATHOR = f"https://pub-daedd7738a984186a00f2ab264d06a07.r2.dev/{VERSION}/"
_DATA = "https://pub-bebbada739114fa1aa96aaf25c873a66.r2.dev/"
_CHECKPOINTS = "https://pub-4194bc6e8ed3420491581242f2531a56.r2.dev/FLaRe_ckpts/"

_CHECKPOINT_FILES = {
    "spoc_IL": "FLaRe_IL_50000.ckpt",
    "objectnav": "FLaRe_objectnav_sparse_reward_000021026752.pt",
    "fetch": "FLaRe_fetch_sparse_reward_000047079268.pt",
    "pickup": "FLaRe_pickup_sparse_reward_000044088446.pt",
    "roomvisit": "FLaRe_roomvisit_sparse_reward_000017028825.pt",
}
_CHORES = ("PickupType", "RoomVisit", "FetchType", "ObjectNavType")
_CHORESNAV = (
    "RoomNav", "ObjectNavAffordance", "ObjectNavLocalRef", "ObjectNavDescription",
    "ObjectNavRelAttribute", "ObjectNavRoom",
)  # fmt: skip
# Type of data to its folder on the server and its tasks.
_TYPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "astar": ("astar", _CHORES),
    "fifteen": ("fifteen_type", (*_CHORES, *_CHORESNAV)),
    "all": ("all_type", (*_CHORES, *_CHORESNAV)),
}
_OLD_NAMES = {"RoomVisit": "SimpleExploreHouse", "ObjectNavDescription": "ObjectNavOpenVocab"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One thing to download."""

    name: str  # as --subset calls it
    url: str
    target: Path  # file; or, of an archive, the folder that it becomes

    @property
    def archive(self) -> Path | None:
        """The file that is fetched where it is not the target itself."""
        for ending in (".tar.gz", ".tar"):
            if self.url.endswith(ending):
                return self.target.with_name(self.target.name + ending)
        return None


def sources(
    what: What, out: Path | None, *, subset: tuple[str, ...] = (), types: Types = "astar"
) -> list[Source]:
    """What a command fetches.

    Args:
        what: houses, assets, annotations, data or checkpoints.
        out: folder for it; None: where assets and annotations are looked for, else this folder.
        subset: names of parts; empty: all.
        types: which data.

    Raises:
        UserError: a name in ``subset`` that there is not.
    """
    found = _all(what, out, types)
    names = [source.name for source in found]
    for name in subset:
        if name not in names:
            raise UserError(
                f"{name!r} is no part of {what}",
                key="subset",
                mend=f"choose among {', '.join(names)}",
            )
    return [source for source in found if not subset or source.name in subset]


def _all(what: What, out: Path | None, types: Types) -> list[Source]:
    folder = Path(".") if out is None else out
    if what == "houses":
        return [
            Source(
                name=split,
                url=f"{_HOUSES}{split}.jsonl.gz",
                target=folder / f"houses_{VERSION}" / f"{split}.jsonl.gz",
            )
            for split in ("train", "val")
        ]
    if what == "data":
        place, tasks = _TYPES[types]
        return [
            Source(
                name=task,
                url=f"{_DATA}{place}/{_OLD_NAMES.get(task, task)}.tar.gz",
                target=folder / types / task,
            )
            for task in tasks
        ]
    if what == "checkpoints":
        return [
            Source(name=name, url=_CHECKPOINTS + file, target=folder / name / "model.ckpt")
            for name, file in _CHECKPOINT_FILES.items()
        ]
    versioned = data_folder() if out is None else out / VERSION
    file, url = ("assets", "assets.tar") if what == "assets" else ("annotations.json.gz",) * 2
    return [Source(name=what, url=_OBJATHOR + url, target=versioned / file)]
