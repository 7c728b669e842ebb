"""What AI2-THOR needs of a machine, layer by layer, the lowest first."""

import ctypes.util
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from flare.errors import UserError
from flare.findings import Finding
from flare.houses.generator import GeneratorConfig
from flare.houses.sources import generated_item
from flare.specs import CameraSpec
from flare.worlds.embedded import EPISODE_DTYPE, load_house
from flare.worlds.thor.config import ThorConfig
from flare.worlds.thor.devices import device_map, vulkan_uuids
from flare.worlds.thor.worker_process import interpreter
from flare.worlds.thor.worlds import ThorWorlds
from flare.worlds.world import all_env_ids

_CLIENT = "5.0.0"  # the version that the workers were tested with
_TIMEOUT = 30.0  # s, of a tool


def examine_thor(config: ThorConfig) -> Iterator[Finding]:
    """Driver, devices, client, build, then a real start; a broken layer is a problem by itself."""
    if not config.executable:
        yield _vulkan()
    yield _devices(config)
    yield _client(config)
    build = _build(config)
    yield build
    if build.verdict == "problem":
        yield Finding("start", "problem", "not tried without a build", "mend the build first")
    else:
        yield _start(config)


def _vulkan() -> Finding:
    if ctypes.util.find_library("vulkan") is None:
        return Finding(
            "vulkan", "problem", "no libvulkan; CloudRendering refuses to start",
            "apt-get install libvulkan1 vulkan-tools",
        )  # fmt: skip
    if shutil.which("vulkaninfo") is None:
        return Finding("vulkan", "note", "library there, no vulkaninfo",
                       "apt-get install vulkan-tools, to see the devices")  # fmt: skip
    listing = subprocess.run(
        ["vulkaninfo"], capture_output=True, text=True, timeout=_TIMEOUT, check=False
    ).stdout
    count = len(set(vulkan_uuids(listing).values()))
    if count == 0:
        return Finding(
            "vulkan", "problem", "vulkaninfo lists no device",
            "install the NVIDIA driver's graphics part; in a container "
            "NVIDIA_DRIVER_CAPABILITIES=all",
        )  # fmt: skip
    return Finding("vulkan", "ok", f"{count} device{'s' * (count != 1)}")


def _devices(config: ThorConfig) -> Finding:
    if not config.gpu_devices:
        return Finding("device map", "ok", "not asked for; the build chooses its device")
    try:
        found = device_map(config.gpu_devices)
    except UserError as error:
        return Finding("device map", "problem", error.what, error.mend)
    text = ", ".join(f"CUDA {cuda} is Vulkan {vulkan}" for cuda, vulkan in found.items())
    return Finding("device map", "ok", text)


def _client(config: ThorConfig) -> Finding:
    python = config.python or sys.executable
    mend = f"{python} -m pip install ai2thor=={_CLIENT}, or name an interpreter that has it"
    code = "import ai2thor.controller, importlib.metadata as m; print(m.version('ai2thor'))"
    try:
        done = subprocess.run(
            [*interpreter(config.python), "-c", code],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("client", "problem", f"{python} does not run ({error})", mend)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Finding("client", "problem", f"does not import in {python}: {reason}", mend)
    version = done.stdout.strip()
    if version != _CLIENT:
        return Finding("client", "note", f"{version}; tested with {_CLIENT}", mend)
    return Finding("client", "ok", f"ai2thor {version} in {python}")


def _build(config: ThorConfig) -> Finding:
    try:
        words = config.find_executable()
    except UserError as error:
        return Finding("build", "problem", error.what, error.mend)
    if words:
        return Finding("build", "ok", words[0])
    base = Path(config.base_dir or "~/.ai2thor").expanduser()
    folder = base / "releases" / f"thor-{config.platform}-{config.commit_id}"
    if folder.is_dir():
        return Finding("build", "ok", str(folder))
    return Finding(
        "build", "note", f"{folder} is not there; the first start downloads it",
        "copy the folder there on a machine without a network",
    )  # fmt: skip


def _start(config: ThorConfig) -> Finding:
    """One process, one house, one frame."""
    item = generated_item(0, "val", 0, GeneratorConfig())
    house = load_house(item[1], item[0])
    spec = np.zeros(1, EPISODE_DTYPE)
    spec["x"], spec["z"], spec["yaw_deg"] = _free_place(house.reachable())
    camera = CameraSpec(num_cameras=2)
    begin = time.monotonic()
    try:
        worlds = ThorWorlds(
            [item], num_envs=1, config=replace(config, num_spares=0), camera=camera, houses=[house]
        )
    except UserError as error:
        return Finding("start", "problem", error.what, error.mend)
    with closing(worlds):
        frames = np.zeros((1, *camera.frame_shape), np.uint8)
        facts = np.zeros(1, worlds.facts_dtype)
        try:
            worlds.reset(all_env_ids(1), spec, frames, facts)
            worlds.step(np.ones(1, np.int64), frames, facts)
        except UserError as error:
            return Finding("start", "problem", error.what, "mend the layer above; see unity.log")
        if worlds.faulted[0]:
            reason = worlds.failures[-1].reason if worlds.failures else "no reason given"
            return Finding("start", "problem", f"no house could be played: {reason}",
                           "look at unity.log in ~/.ai2thor/log")  # fmt: skip
        if not frames.any():
            return Finding("start", "problem", "the frames are black", "look at the driver")
    return Finding("start", "ok", f"a house was played after {time.monotonic() - begin:.1f} s")


def _free_place(places: np.ndarray) -> tuple[float, float, float]:
    """The reachable place nearest to the middle of all, heading 0."""
    nearest = int(np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1)))
    return float(places[nearest, 0]), float(places[nearest, 1]), 0.0
