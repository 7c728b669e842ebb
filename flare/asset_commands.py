"""``flare assets build|check|show|sample``: the commands around asset folders and packs."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from flare.assets.annotations import read_annotations
from flare.assets.build import BuildReport, build_pack, find_assets
from flare.assets.locations import annotations_file, assets_folder
from flare.assets.mesh import Asset
from flare.assets.objathor_format import read_asset
from flare.assets.objathor_writer import write_annotations, write_asset
from flare.assets.payload import ConversionConfig
from flare.assets.procedural import GENERATORS
from flare.assets.textures import read_texture
from flare.console import Console
from flare.errors import UserError
from flare.houses.files import read_houses

_MOST_LISTED = 20  # broken assets that are named one by one


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildConfig:
    """Configuration of ``flare assets build``: which assets go into which pack, how finely."""

    out: Path  # the pack; a table x.pack.json is written beside it
    assets: Path | None = None  # folder of asset folders; None: $OBJAVERSE_ASSETS_DIR
    annotations: Path | None = None  # annotations.json.gz; None: the one beside the assets, if any
    subset: tuple[Path, ...] = ()  # house files: only the assets that occur in them
    num_workers: int = 0  # processes; 0: one per core
    conversion: ConversionConfig = field(default_factory=ConversionConfig)

    def __post_init__(self) -> None:
        """Refuse a negative number of processes. Raises UserError."""
        if self.num_workers < 0:
            raise UserError(f"is {self.num_workers}", key="num_workers", mend="give 0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckConfig:
    """Configuration of ``flare assets check``."""

    path: Positional[Path]  # a folder of asset folders, or a pack


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowConfig:
    """Configuration of ``flare assets show``: which assets of a pack go into the picture."""

    pack: Positional[Path]
    ids: tuple[str, ...] = ()  # of assets; none: the first of the pack
    limit: int = 40  # assets in the picture
    cell: int = 160  # px of a side, each asset
    out: Path | None = None  # PNG; None: <name of the pack>.png in this folder

    def __post_init__(self) -> None:
        """Refuse an empty picture. Raises UserError."""
        if self.limit < 1:
            raise UserError(f"is {self.limit}", key="limit", mend="give 1 or more")
        if not 32 <= self.cell <= 1024:
            raise UserError(f"is {self.cell}", key="cell", mend="give 32 to 1024 px")


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleConfig:
    """Configuration of ``flare assets sample``."""

    out: Path  # folder; gets assets/ and annotations.json.gz
    encoding: str = ".msgpack.gz"  # of the mesh files


def run_build(config: BuildConfig) -> int:
    """Convert assets into a pack; 1 if some were broken and left out."""
    source = assets_folder(config.assets)
    file = annotations_file(config.annotations, source)
    wanted = asset_ids(config.subset) if config.subset else None
    folders, missing = find_assets(source, wanted)
    with Console("assets build") as console:
        if file is None:
            console.message("no annotations: types come from the objects' ids in a house")
        records = read_annotations(file) if file is not None else None
        with console.stage("convert", total=len(folders), unit="assets") as stage:
            report = build_pack(
                folders,
                config.out,
                config=config.conversion,
                annotations=records,
                num_workers=config.num_workers or len(os.sched_getaffinity(0)),
                progress=lambda now: stage.update(advance=1, note=_note(now)),
            )
    report.missing = missing
    _print_report(report, config.out)
    return int(bool(report.failed))


def run_check(config: CheckConfig) -> int:
    """Read every asset of a folder, or every mesh of a pack; 1 if any is broken."""
    if config.path.is_dir():
        return _check_folder(config.path)
    from flare.worlds.embedded import open_assets  # the compiled core, which folders do without

    _, pack = open_assets(config.path)
    pack.check()
    print(f"{len(pack)} assets of {config.path} are whole")
    return 0


def run_show(config: ShowConfig) -> int:
    """Draw a contact sheet of a pack as PNG and say where it is."""
    from flare.contact_sheet import draw_contact_sheet

    out = config.out or Path(f"{config.pack.name.split('.')[0]}.png")
    count = draw_contact_sheet(
        config.pack, out, ids=config.ids, limit=config.limit, cell=config.cell
    )
    print(f"wrote {out}: {count} assets")
    return 0


def run_sample(config: SampleConfig) -> int:
    """Write the procedural examples as asset folders with their annotations."""
    records = {}
    for kind, make in GENERATORS.items():
        mesh, texture = make()
        asset = Asset(
            asset_id=kind.encode().hex().ljust(32, "0")[:32],
            mesh=mesh,
            primary_property="Static" if kind == "Painting" else "CanPickup",
        )
        write_asset(config.out / "assets", asset, {"albedo": texture}, config.encoding)
        records[asset.asset_id] = {"uid": asset.asset_id, "category": kind}
    write_annotations(config.out / "annotations.json.gz", records)
    print(f"wrote {len(records)} assets to {config.out / 'assets'}")
    return 0


def asset_ids(house_files: Iterable[Path]) -> set[str]:
    """Ids of every asset that occurs in these house files, children included.

    Raises: UserError for a house file that cannot be read.
    """
    found: set[str] = set()

    def collect(objects: Any) -> None:  # noqa: ANN401
        for each in objects if isinstance(objects, list) else []:
            if isinstance(each, dict):
                asset = each.get("assetId")
                if isinstance(asset, str):
                    found.add(asset)
                collect(each.get("children"))

    for file in house_files:
        for _, text in read_houses(file):
            collect(json.loads(text).get("objects"))
    return {name for name in found if name and "/" not in name and name[0] != "."}


def _check_folder(folder: Path) -> int:
    folders, _ = find_assets(folder)
    errors = []
    with (
        Console("assets check") as console,
        console.stage("read", total=len(folders), unit="assets") as stage,
    ):
        for each in folders:
            try:
                for file in read_asset(each).textures.values():
                    read_texture(file)
            except UserError as error:
                errors.append(str(error))
            stage.update(advance=1)
    _print_errors(errors)
    print(f"{len(folders) - len(errors)} of {len(folders)} assets of {folder} can be used")
    return int(bool(errors))


def _note(report: BuildReport) -> str:
    return (
        f"{report.converted} converted, {report.unchanged} unchanged, {len(report.failed)} broken"
    )


def _print_report(report: BuildReport, out: Path) -> None:
    _print_errors(report.failed)
    if report.missing:
        print(f"{len(report.missing)} assets of these houses have no folder: they stay proxies")
    print(
        f"wrote {out}: {report.converted + report.unchanged} assets, "
        f"{report.pack_bytes / 2**20:.1f} MiB from {report.source_bytes / 2**20:.1f} MiB; "
        f"{_note(report)}"
    )


def _print_errors(errors: list[str]) -> None:
    for error in errors[:_MOST_LISTED]:
        print(f"BROKEN  {error}")
    if len(errors) > _MOST_LISTED:
        print(f"… and {len(errors) - _MOST_LISTED} more broken assets")
