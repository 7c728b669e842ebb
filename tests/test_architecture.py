"""The architecture that the documents promise, checked against the sources."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "kernels").rglob("*.py"))
SOURCES += sorted(  # flare/kernels is a link in a checkout
    path for path in (ROOT / "flare").rglob("*.py") if "kernels" not in path.relative_to(ROOT).parts
)
CORE_IMPORTERS = {"flare/rollout/buffers.py", "flare/rollout/gae.py", "flare/worlds/embedded.py"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> set[str]:
    """Every dotted name that the file imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # A worker's package also runs under a name of its own, without flare.
            is_worker = path.parent.name == "thor_worker"
            assert is_worker or node.level == 0, f"{relative(path)} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_import_contracts_hold():
    lint = Path(sys.executable).with_name("lint-imports")
    answer = subprocess.run(
        [lint, "--no-cache", "--config", ROOT / "pyproject.toml"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_only_three_modules_import_the_core():
    users = {
        relative(path)
        for path in SOURCES
        if any(name.startswith("flare._core") for name in imported(path))
    }
    assert users <= CORE_IMPORTERS


def test_workers_of_thor_import_nothing_of_flare():
    worker = [path for path in SOURCES if path.parent.name == "thor_worker"]
    assert len(worker) >= 5
    for path in worker:
        assert not [name for name in imported(path) if name.split(".")[0] == "flare"], path


def test_every_module_stands_in_a_layer():
    layers = (ROOT / "pyproject.toml").read_text().split('type = "layers"')[1].split("]\n")[0]
    listed = set(re.findall(r"flare\.[\w.]+", layers))
    homeless = []
    for path in SOURCES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        module = f"flare.{module}" if module.split(".")[0] == "kernels" else module
        parents = {module.rsplit(".", cut)[0] for cut in range(module.count(".") + 1)}
        # Packages that are split over layers (flare.rollout) hold nothing of their own.
        is_empty_package = path.name == "__init__.py" and not imported(path)
        if not is_empty_package and not parents & listed:
            homeless.append(module)
    assert homeless == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_catch_all_names_and_no_code_that_waits_for_its_author(path):
    assert not re.search(r"(^|_)(utils?|helpers?|misc|common)(_|$)", path.stem)
    text = path.read_text()
    assert not re.search(r"\b(TODO|FIXME|XXX|set_trace|breakpoint\()", text)
    assert not re.search(r"except( BaseException)?:\s*$", text, re.MULTILINE)


@pytest.mark.parametrize("package", sorted({path.parent for path in SOURCES}), ids=relative)
def test_every_folder_of_sources_is_a_package(package):
    assert (package / "__init__.py").is_file()


def test_the_test_extra_brings_what_tests_of_other_extras_ask_for():
    """Without the packages of those extras they are skipped, which must not happen in CI."""
    extra = (ROOT / "pyproject.toml").read_text().split("\ntest = [")[1].split("\n]")[0]
    for name in ("assets", "gym", "tensorboard"):
        assert re.search(rf'"flare-rl\[[a-z,]*\b{name}\b', extra)
