"""Where downloaded assets lie: the folders that objathor and FLaRe's original name.

``OBJAVERSE_ASSETS_DIR`` is the folder of asset folders and ``OBJAVERSE_ANNOTATIONS_PATH`` the
annotations; without them both lie below ``OBJAVERSE_DATA_DIR`` (``~/.objathor-assets``), in the
folder of the data set's version.
"""

import os
from pathlib import Path

from flare.errors import UserError

VERSION = "2023_07_28"


def data_folder() -> Path:
    """``OBJAVERSE_DATA_DIR`` with the version as its last part."""
    folder = Path(os.environ.get("OBJAVERSE_DATA_DIR") or "~/.objathor-assets").expanduser()
    return folder if folder.name == VERSION else folder / VERSION


def assets_folder(given: Path | None) -> Path:
    """The folder of asset folders: the given one, else the environment's, else the default.

    Raises: UserError if it does not exist.
    """
    named = os.environ.get("OBJAVERSE_ASSETS_DIR")
    folder = given or (Path(named).expanduser() if named else data_folder() / "assets")
    if not folder.is_dir():
        raise UserError(
            "there is no such folder",
            file=folder,
            key=None if given else "OBJAVERSE_ASSETS_DIR",
            mend="download them with flare download assets, or give their folder with --assets",
        )
    return folder


def annotations_file(given: Path | None, assets: Path) -> Path | None:
    """The annotations: the given file, else the environment's, else one beside the assets.

    Returns: None if nothing is given and none lies beside the folder ``assets`` or in the default
    place.
    Raises: UserError if a file that was named does not exist.
    """
    named = os.environ.get("OBJAVERSE_ANNOTATIONS_PATH")
    file = given or (Path(named).expanduser() if named else None)
    if file is None:
        places = (assets.parent / "annotations.json.gz", data_folder() / "annotations.json.gz")
        return next((place for place in places if place.is_file()), None)
    if not file.is_file():
        raise UserError(
            "there is no such file",
            file=file,
            key=None if given else "OBJAVERSE_ANNOTATIONS_PATH",
            mend="download them with flare download annotations, or leave them out",
        )
    return file
