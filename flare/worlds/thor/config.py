"""How AI2-THOR processes are started, what they are told, and how long they may take."""

import json
import os
import shlex
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flare.errors import UserError, require
from flare.specs import CameraSpec

ORIGINAL_COMMIT = "966bd7758586e05d18f6181f459c0e90ba318bec"
_CROP, _CROPPED_OF = 6, 396  # the original cuts 6 columns of 396 from each side


@dataclass(frozen=True, kw_only=True, slots=True)
class ThorConfig:
    """AI2-THOR's processes; the controller's settings by default are the original's."""

    # What is started.
    executable: str = ""  # local build, with its arguments; empty: the build of commit_id
    commit_id: str = ORIGINAL_COMMIT
    platform: str = "CloudRendering"  # of a commit's build
    python: str = ""  # interpreter whose environment has ai2thor; empty: this one
    base_dir: str = ""  # where the client keeps builds and logs; empty: ~/.ai2thor
    gpu_devices: tuple[int, ...] = ()  # CUDA indices, dealt out in turn; empty: the build's choice

    # How many, and how they are supervised.
    num_spares: int = 0  # processes beyond one per world, which load the next houses
    start_timeout: float = 120.0  # s until a process answers
    reset_timeout: float = 60.0  # s until a house is loaded
    step_timeout: float = 5.0  # s
    first_backoff: float = 0.5  # s before a process that died is replaced; doubles
    longest_backoff: float = 30.0  # s
    memory_cap_gb: float = 16.0  # of a worker and its simulator; more is recycled
    max_episodes: int = 2000  # of one process, then it is recycled; 0 without a limit
    house_failures: int = 3  # a house that fails so often is left out
    device_failures: int = 3  # starts that fail in a row on a device until it is left out

    # The original's controller settings.
    agent_mode: str = "stretch"
    grid_size: float = 0.15  # m
    field_of_view: float = 59.0  # degrees, vertical
    visibility_distance: float = 0.8673349051766235  # m, the arm's reach
    visibility_scheme: str = "Distance"
    use_mass_threshold: bool = True
    mass_threshold: float = 10.0  # kg
    auto_simulation: bool = False
    auto_sync_transforms: bool = True
    render_instance_segmentation: bool = True
    render_depth_image: bool = False
    camera_near_plane: float = 0.01  # m
    snap_to_grid: bool = False
    fast_action_emit: bool = True
    use_quick_navi_action: bool = True
    settle_seconds: float = 1.0  # of physics after a house load
    view_distance: float = 100.0  # m, how far facts tell what a camera sees

    # Objaverse assets.
    assets: str = ""  # folder of asset folders; empty: none are made
    asset_symlink: bool = True
    asset_limit: int = 200  # kept in a process
    load_file_in_unity: bool = False

    extra: dict[str, str] = field(default_factory=dict)  # further controller arguments, as JSON

    def __post_init__(self) -> None:
        for name in ("start_timeout", "reset_timeout", "step_timeout", "memory_cap_gb"):
            value = getattr(self, name)
            require(value > 0, f"thor.{name}", value, "use a number above 0")
        for name in ("num_spares", "max_episodes", "first_backoff", "longest_backoff"):
            value = getattr(self, name)
            require(value >= 0, f"thor.{name}", value, "use a number from 0")
        for name, text in self.extra.items():
            try:
                json.loads(text)
            except ValueError as error:
                raise UserError(
                    f"is {text!r}, which is no JSON",
                    key=f"thor.extra.{name}",
                    mend="write a number, true, false or a quoted text",
                ) from error
        for name in ("house_failures", "device_failures"):
            require(getattr(self, name) >= 1, f"thor.{name}", getattr(self, name), "use at least 1")
        require(
            not self.gpu_devices or min(self.gpu_devices) >= 0,
            "thor.gpu_devices",
            self.gpu_devices,
            "use CUDA indices from 0",
        )

    def controller_arguments(self, camera: CameraSpec) -> dict[str, Any]:
        """Keyword arguments of ``ai2thor.controller.Controller``."""
        arguments = {
            "agentMode": self.agent_mode,
            "gridSize": self.grid_size,
            "width": camera.width + 2 * crop_of(camera.width),
            "height": camera.height,
            "fieldOfView": self.field_of_view,
            "visibilityDistance": self.visibility_distance,
            "visibilityScheme": self.visibility_scheme,
            "useMassThreshold": self.use_mass_threshold,
            "massThreshold": self.mass_threshold,
            "autoSimulation": self.auto_simulation,
            "autoSyncTransforms": self.auto_sync_transforms,
            "renderInstanceSegmentation": self.render_instance_segmentation,
            "renderDepthImage": self.render_depth_image,
            "cameraNearPlane": self.camera_near_plane,
            "snapToGrid": self.snap_to_grid,
            "fastActionEmit": self.fast_action_emit,
            # The trainer kills what is late. With a limit of its own the client would not notice
            # the end of its pipe, and would ask the kernel once more before each read.
            "server_timeout": None,
            "server_start_timeout": self.start_timeout,
            # A local build is taken for one that needs a display; nothing is drawn on it.
            "x_display": os.environ.get("DISPLAY", ":0"),
            "scene": "Procedural",
        }
        return {**arguments, **{name: json.loads(value) for name, value in self.extra.items()}}

    def asset_arguments(self) -> dict[str, Any]:
        """Keyword arguments of ``flare.worlds.thor_worker.assets.AssetHook``."""
        folder = self.base_dir or os.path.expanduser("~/.ai2thor")
        return {
            "folder": self.assets,
            "target": os.path.join(folder, "processed_models"),
            "limit": self.asset_limit,
            "load_in_unity": self.load_file_in_unity,
            "symlink": self.asset_symlink,
        }

    def find_executable(self) -> tuple[str, ...]:
        """The local build's path and arguments; empty for a commit's build.

        Raises:
            UserError: it is nowhere.
        """
        if not self.executable:
            return ()
        words = shlex.split(self.executable)
        beside = Path(sys.executable).parent / words[0]
        found = shutil.which(words[0]) or (str(beside) if beside.exists() else None)
        if found is None:
            raise UserError(
                f"there is no program {words[0]!r}",
                key="thor.executable",
                mend="give the path of flare-thor, of a build of AI2-THOR, or a commit_id",
            )
        return (os.path.abspath(found), *words[1:])


def crop_of(width: int) -> int:
    """Columns that are drawn on each side of a frame of this width and cut off."""
    crop = 0
    while crop < round((width + 2 * crop) * _CROP / _CROPPED_OF):
        crop += 1
    return crop
