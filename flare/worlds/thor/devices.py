"""Which Vulkan device a CUDA device is: the two count in orders of their own."""

import re
import shutil
import subprocess
from collections.abc import Sequence

from flare.errors import UserError

_TIMEOUT = 30.0  # s


def device_map(wanted: Sequence[int]) -> dict[int, int]:
    """CUDA index to Vulkan index of the wanted devices, by the unique ids that both tell.

    Raises:
        UserError: a tool is missing or fails, or a device is not on both lists.
    """
    if not wanted:
        return {}
    uuids = cuda_uuids(_output("nvidia-smi", "-L", mend="install the NVIDIA driver"))
    vulkan = vulkan_uuids(
        _output("vulkaninfo", mend="install vulkan-tools and the driver's Vulkan library")
    )
    found = {}
    for device in wanted:
        if device not in uuids:
            raise UserError(
                f"there is no CUDA device {device}; nvidia-smi lists {sorted(uuids)}",
                key="thor.gpu_devices",
                mend="choose among those",
            )
        if uuids[device] not in vulkan:
            raise UserError(
                f"CUDA device {device} is no Vulkan device",
                key="thor.gpu_devices",
                mend="give the container the graphics capability "
                "(NVIDIA_DRIVER_CAPABILITIES=all) and look at vulkaninfo",
            )
        found[device] = vulkan[uuids[device]]
    return found


def cuda_uuids(listing: str) -> dict[int, str]:
    """CUDA index to unique id, from ``nvidia-smi -L``."""
    rows = re.findall(r"^GPU (\d+):.*\(UUID: GPU-([^)]+)\)", listing, re.MULTILINE)
    return {int(index): uuid.lower() for index, uuid in rows}


def vulkan_uuids(listing: str) -> dict[str, int]:
    """Unique id to Vulkan index, from ``vulkaninfo``."""
    found: dict[str, int] = {}
    device = None
    for line in listing.splitlines():
        if match := re.match(r"\s*GPU\s*(\d+):", line):
            device = int(match[1])
        elif device is not None and (match := re.search(r"deviceUUID\s*=\s*([0-9a-fA-F-]+)", line)):
            found.setdefault(match[1].lower(), device)
    return found


def _output(*command: str, mend: str) -> str:
    if shutil.which(command[0]) is None:
        raise UserError(f"{command[0]} is not installed", key="thor.gpu_devices", mend=mend)
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=True
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise UserError(
            f"{command[0]} fails ({error})", key="thor.gpu_devices", mend=mend
        ) from error
    return result.stdout
