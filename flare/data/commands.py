"""``flare download houses|assets|annotations|data|checkpoints``."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from tyro.conf import Positional

from flare.console import Console
from flare.data.fetch import HttpConfig, Progress, Remote, StoppedError, fetch_all, is_here, probe
from flare.data.sources import Source, Types, What, sources
from flare.data.unpack import unpack
from flare.errors import UserError, require
from flare.signals import StopFlag

_UNPACKED = 1.1  # an archive's folder against the archive; videos hardly shrink in one


@dataclass(frozen=True, kw_only=True, slots=True)
class DownloadConfig:
    """Configuration of ``flare download``: what, where to, and how."""

    what: Positional[What]
    # Folder for it. None: for assets and annotations the place where they are looked for
    # ($OBJAVERSE_DATA_DIR, ~/.objathor-assets), else this folder.
    out: Path | None = None
    subset: tuple[str, ...] = ()  # splits, tasks or checkpoints by name; none: all
    types: Types = "astar"  # which data: that of FLaRe, or SPOC's of fifteen or all object types
    yes: bool = False  # do not ask
    mirror: str = ""  # URL that takes the place of the public host
    http: HttpConfig = field(default_factory=HttpConfig)

    def __post_init__(self) -> None:
        for name in ("connections", "attempts", "piece_bytes", "timeout_s"):
            value = getattr(self.http, name)
            require(value > 0, f"http.{name}", value, "use a positive number")
        parts = urlsplit(self.mirror)
        fine = not self.mirror or (parts.scheme in ("http", "https") and bool(parts.netloc))
        require(fine, "mirror", self.mirror, "give http://HOST/PATH or https://HOST/PATH")


def run_download(config: DownloadConfig) -> int:
    """``flare download``."""
    found = sources(config.what, config.out, subset=config.subset, types=config.types)
    found = [_mirrored(source, config.mirror) for source in found]
    for source in found:
        if source.archive and source.target.is_dir():
            print(f"{source.target} is there already")
    found = [s for s in found if not (s.archive and s.target.is_dir())]
    offers = [(source, probe(source.url, config.http)) for source in found]
    new = [(s, remote) for s, remote in offers if not is_here(s.archive or s.target, remote)]
    for source, remote in offers:
        if (source, remote) not in new and not source.archive:
            print(f"{source.target} is there already, {_size(remote.size)}")
    if not offers or (not new and not any(source.archive for source, _ in offers)):
        return 0
    if new and not _confirmed(new, config.yes):
        print("nothing was downloaded")
        return 1
    return _download([source for source, _ in offers], new, config)


def _mirrored(source: Source, mirror: str) -> Source:
    if not mirror:
        return source
    return replace(source, url=mirror.rstrip("/") + urlsplit(source.url).path)


def _confirmed(new: Sequence[tuple[Source, Remote]], yes: bool) -> bool:
    """Show names and sizes, refuse what the disk cannot hold, and ask."""
    for source, remote in new:
        print(f"{source.name:<24}{_size(remote.size):>12}  {source.target}")
    total = sum(remote.size for _, remote in new)
    unpacked = sum(remote.size for source, remote in new if source.archive) * _UNPACKED
    place = new[0][0].target.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    needed = f", {_size(total + unpacked)} while it is unpacked" if unpacked else ""
    print(f"{'together':<24}{_size(total):>12}{needed}; {_size(free)} are free")
    if total + unpacked > free:
        raise UserError(
            f"{_size(total + unpacked)} are needed, {_size(free)} are free",
            file=place,
            mend="free space, choose another --out or a --subset",
        )
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UserError("nobody can be asked here", key="yes", mend="give --yes to download this")
    return input("Download? [y/N] ").strip().lower() in ("y", "yes")


def _download(
    all_sources: Sequence[Source], new: Sequence[tuple[Source, Remote]], config: DownloadConfig
) -> int:
    with Console(f"download {config.what}") as console, StopFlag() as stop:
        try:
            _fetch(new, config, console, stop)
            for source in all_sources:
                if source.archive and source.archive.is_file():
                    _unpack(source.archive, source.target, console, stop)
        except StoppedError:
            console.message(f"stopped by {stop.reason}; the same command goes on from here")
            return 130
        for source in all_sources:
            console.message(f"{source.target} is there")
    return 0


def _fetch(
    new: Sequence[tuple[Source, Remote]], config: DownloadConfig, console: Console, stop: StopFlag
) -> None:
    if not new:
        return
    progress, total = Progress(), sum(remote.size for _, remote in new)
    with console.stage("download", total=total / 2**20, unit="MiB") as stage:
        fetch_all(
            [(remote, source.archive or source.target) for source, remote in new],
            config.http,
            progress=progress,
            on_tick=lambda: stage.update(completed=progress.done / 2**20),
            should_stop=lambda: stop.requested,
        )
        stage.update(completed=progress.done / 2**20)


def _unpack(archive: Path, folder: Path, console: Console, stop: StopFlag) -> None:
    total = archive.stat().st_size / 2**20
    with console.stage(f"unpack {folder.name}", total=total, unit="MiB") as stage:
        finished = unpack(
            archive,
            folder,
            on_bytes=lambda read: stage.update(completed=read / 2**20),
            should_stop=lambda: stop.requested,
        )
    if not finished:
        raise StoppedError


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"
