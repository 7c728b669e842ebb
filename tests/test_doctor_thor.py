"""What AI2-THOR needs, on machines that lack one layer each."""

import json
import sys
from dataclasses import replace

import pytest

from flare import doctor_thor
from flare.cli import main
from flare.doctor_thor import examine_thor
from flare.worlds.thor import devices
from flare.worlds.thor.config import ThorConfig
from flare.worlds.thor.devices import cuda_uuids, vulkan_uuids
from flare.worlds.thor.release import install_release
from tests.worlds.thor.places import PROGRAM

pytest.importorskip("ai2thor")

CONFIG = ThorConfig(executable=str(PROGRAM), start_timeout=30, reset_timeout=30)


def findings(config):
    return {finding.name: finding for finding in examine_thor(config)}


def test_a_machine_with_everything_plays_a_house(tmp_path):
    found = findings(replace(CONFIG, base_dir=str(tmp_path)))
    assert {name: each.verdict for name, each in found.items()} == {
        "device map": "ok", "client": "ok", "build": "ok", "start": "ok",
    }  # fmt: skip
    assert found["client"].found.startswith("ai2thor 5.0.0")


def test_a_missing_build_is_named_and_nothing_is_started():
    found = findings(replace(CONFIG, executable="/nowhere/thor"))
    assert found["build"].verdict == "problem" and "/nowhere/thor" in found["build"].found
    assert "flare-thor" in found["build"].mend and found["start"].verdict == "problem"


def test_a_missing_client_is_named():
    """An interpreter that runs without any package."""
    found = findings(replace(CONFIG, python="/nowhere/python", executable="/nowhere/thor"))
    assert found["client"].verdict == "problem"
    assert "pip install ai2thor==5.0.0" in found["client"].mend


@pytest.mark.parametrize(
    ("arguments", "text"),
    [("--fault exit@start", "ended"), ("--fault hang@start", "did not start within 2 s"),
     ("--fault exit@CreateHouse", "ended")],
)  # fmt: skip
def test_a_start_that_fails_is_told_within_its_limit(tmp_path, arguments, text):
    config = replace(
        CONFIG, executable=f"{PROGRAM} {arguments}", base_dir=str(tmp_path), start_timeout=2,
        first_backoff=0.1,
    )  # fmt: skip
    found = findings(config)
    assert found["build"].verdict == "ok" and found["start"].verdict == "problem"
    assert text in found["start"].found and found["start"].mend


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A folder in place of PATH; tools are written into it."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def add(name, output):
        (tmp_path / name).write_text(
            f"#!/bin/sh\nwhile read -r x; do echo \"$x\"; done <<'E'\n{output}\nE\n"
        )
        (tmp_path / name).chmod(0o755)

    return add


LISTING = "GPU 0: Card (UUID: GPU-aa-0)\nGPU 1: Card (UUID: GPU-bb-1)"
VULKAN = "GPU0:\n deviceUUID = bb-1\nGPU1:\n deviceUUID = aa-0\nGPU2:\n deviceName = llvmpipe"


def test_cuda_and_vulkan_count_in_orders_of_their_own(tools):
    assert cuda_uuids(LISTING) == {0: "aa-0", 1: "bb-1"}
    assert vulkan_uuids(VULKAN) == {"bb-1": 0, "aa-0": 1}
    tools("nvidia-smi", LISTING)
    tools("vulkaninfo", VULKAN)
    assert devices.device_map((0, 1)) == {0: 1, 1: 0}
    found = doctor_thor._devices(replace(CONFIG, gpu_devices=(0,)))
    assert (found.verdict, found.found) == ("ok", "CUDA 0 is Vulkan 1")
    found = doctor_thor._devices(replace(CONFIG, gpu_devices=(3,)))
    assert found.verdict == "problem" and "no CUDA device 3" in found.found


def test_missing_tools_and_drivers_are_named(tools, monkeypatch):
    found = doctor_thor._devices(replace(CONFIG, gpu_devices=(0,)))
    assert found.verdict == "problem" and "nvidia-smi is not installed" in found.found
    tools("nvidia-smi", LISTING)
    found = doctor_thor._devices(replace(CONFIG, gpu_devices=(0,)))
    assert "vulkaninfo is not installed" in found.found
    tools("vulkaninfo", "GPU0:\n deviceUUID = cc-9")
    found = doctor_thor._devices(replace(CONFIG, gpu_devices=(0,)))
    assert "no Vulkan device" in found.found and "NVIDIA_DRIVER_CAPABILITIES" in found.mend
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    found = doctor_thor._vulkan()
    assert found.verdict == "problem" and "libvulkan1" in found.mend
    monkeypatch.setattr("ctypes.util.find_library", lambda name: "libvulkan.so.1")
    assert doctor_thor._vulkan().found == "1 device"
    tools("vulkaninfo", "nothing")
    assert doctor_thor._vulkan().verdict == "problem"


def test_the_command_prints_json_and_its_code_says_whether_all_is_well(tmp_path, capsys):
    words = ["doctor", "--world", "thor", "--json", "--thor-base-dir", str(tmp_path)]
    assert main([*words, "--thor-executable", str(PROGRAM)]) == 0
    names = [item["name"] for item in json.loads(capsys.readouterr().out)]
    assert names[-4:] == ["device map", "client", "build", "start"]
    assert main([*words, "--thor-executable", "/nowhere"]) == 1


def test_a_release_folder_is_found(tmp_path):
    install_release(str(PROGRAM), "a" * 40, "Embedded", tmp_path)
    config = replace(
        CONFIG, executable="", commit_id="a" * 40, platform="Embedded", base_dir=str(tmp_path)
    )
    assert doctor_thor._build(config).verdict == "ok"
    assert doctor_thor._build(replace(config, commit_id="b" * 40)).verdict == "note"
    assert sys.executable in doctor_thor._client(config).found
