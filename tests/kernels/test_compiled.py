"""The compiler's report: what is compiled, what is refused, what the table holds."""

import importlib.util
import sys
from pathlib import Path

import pytest

from flare.kernels import (
    attention,
    augment_patches,
    decode_attention,
    layernorm_relu_token,
    norm_kernels,
    pool_attention,
)
from flare.kernels._launch import Config, recording

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def load(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


report, cases = load("compile_kernels"), load("kernel_cases")


@pytest.fixture(scope="module")
def launches():
    """(kernel, case, target) to configuration, as a GPU would be given them."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (attention, pool_attention):
            patch.setattr(module, "INTERPRETED", False)
        found = {}
        for target in report.TARGETS:
            for case in cases.cases():
                with recording((target // 10, 0)) as record:
                    case.run()
                for launch in record.launches:
                    name = getattr(launch.kernel, "fn", launch.kernel).__name__
                    found[name, case.name, f"sm_{target}"] = launch.config
        return found


def test_every_row_of_every_table_is_compiled(launches):
    used = list(launches.values())
    tables = [attention.CONFIGS, pool_attention.CONFIGS, norm_kernels.CONFIGS,
              decode_attention.CONFIGS, layernorm_relu_token.FORWARD]  # fmt: skip
    for table in tables:
        for row, config in table.items():
            assert any(_same(config, other) for other in used), f"{row} is in no case"
    assert any(_same(augment_patches.CONFIG, other) for other in used)


def _same(a: Config, b: Config) -> bool:
    return (a.options(), a.blocks) == (b.options(), b.blocks)


def test_the_table_has_every_kernel_under_two_releases(launches):
    table = report.read_table(report.TABLE.read_text())
    releases = {key[3] for key in table}
    assert report.PINNED in releases and len(releases) == 2
    listed = {(key[0], key[2]) for key in table}
    assert {(kernel, target) for kernel, _, target in launches} == listed


ROW = {
    "kernel": "attention_fwd_kernel", "case": "attention bf16", "target": "sm_90",
    "triton": "3.6.0", "warps": 4, "stages": 2, "registers": 128, "shared": 40000, "stack": 0,
    "local": 0, "hgmma": 8, "hmma": 0, "loads": 4, "stores": 2, "cap": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stack": 8}, "8 bytes of stack"),
        ({"local": 2}, "2 uses of local memory"),
        ({"cap": 128, "stack": 40}, "40 bytes of stack"),
        ({"shared": 300_000}, "300000 bytes of shared memory"),
        ({"hgmma": 0}, "no matrix instruction"),
        ({"hgmma": 0, "hmma": 4}, "no wgmma"),
        ({"loads": 0}, "0 loads and 2 stores of 16 bytes"),
        ({"registers": 161}, "33 more than in the table"),
        ({"case": "attention fp16"}, "not in the table"),
    ],
    ids=lambda x: "" if isinstance(x, dict) else x,
)
def test_a_worse_kernel_is_refused(change, said):
    table = report.read_table(report.write_table([ROW]))
    assert report.compare([ROW], table) == ([], [])
    refused, _ = report.compare([{**ROW, **change}], table)
    assert any(said in line for line in refused), refused


def test_a_cap_on_registers_may_cost_a_few_words():
    capped = {**ROW, "cap": 128, "stack": 24, "local": 10}
    table = report.read_table(report.write_table([capped]))
    assert report.compare([capped], table) == ([], [])


def test_a_vanished_kernel_is_refused_and_some_registers_are_only_noted():
    table = report.read_table(report.write_table([ROW, {**ROW, "case": "attention fp16"}]))
    refused, _ = report.compare([ROW], table)
    assert refused == ["attention_fwd_kernel · attention fp16 · sm_90 · 3.6.0: in the table, but "
                       "not compiled"]  # fmt: skip
    table = report.read_table(report.write_table([ROW]))
    refused, noted = report.compare([{**ROW, "registers": 150}], table)
    assert refused == [] and "22 more" in noted[0]
