"""Put a simulator where AI2-THOR's client looks for the build of a commit."""

import json
import shutil
from pathlib import Path

from flare.atomic import make_directory, write_text


def install_release(executable: str, commit_id: str, platform: str, base_dir: Path) -> Path:
    """Copy a program into a release folder, so that ``commit_id`` starts it without a network.

    Args:
        executable: flare-thor, or any program that speaks the client's FIFO protocol.
        commit_id: of the build it stands for.
        platform: as ``ThorConfig.platform``; a name that the client does not know, such as
            "Embedded", comes without its checks of displays and drivers.
        base_dir: the client's folder, usually ~/.ai2thor.

    Returns:
        The folder.
    """
    name = f"thor-{platform}-{commit_id}"
    folder = base_dir / "releases" / name
    make_directory(folder)
    shutil.copy2(executable, folder / name)
    (folder / name).chmod(0o755)
    write_text(folder / "metadata.json", json.dumps({"server_types": ["FIFO"]}))
    return folder
