#!/usr/bin/env python3
"""Compiles every kernel for sm_80 and sm_90 without a GPU, and refuses a bad or a worse result.

    scripts/compile_kernels.py            compare with kernels/compiled.md; exit 1 on a regression
    scripts/compile_kernels.py --write    write kernels/compiled.md

The kernels are launched on tensors without data (kernel_cases.py), so what is compiled is what a
GPU would be given: the same types, constants and alignments. Two releases of Triton are asked: the
one installed here and 3.6.0, which is put into build/ at first use.

A kernel is refused when it has a stack frame or touches local memory (spilled registers), but for a
few words where its sizes cap the registers, as was measured to be faster on a GPU; when it needs
more shared memory than the card has, when its products do not use the matrix units, or when a
kernel that moves whole rows has no 16-byte loads or stores. Beyond that a row of the table may not
vanish and registers may not grow by more than 32.
"""

import argparse
import concurrent.futures
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "kernels" / "compiled.md"
PINNED = "3.6.0"
TARGETS = {80: 163 * 1024, 90: 227 * 1024}  # shared memory of a program, bytes
MORE_REGISTERS = 32  # growth that is refused
SPILLED = 32  # bytes of stack that a cap on registers may cost
# Kernels that move rows of numbers; the others move single ones.
WIDE = ("attention_", "pool_", "norm_", "swiglu_", "sequence_", "adam_")
HAS_PRODUCTS = ("attention_", "pool_")
COLUMNS = ("kernel", "case", "target", "triton", "warps", "stages", "registers", "shared",
           "matrix", "loads", "stores", "cap", "stack")  # fmt: skip
HEAD = """# What the compiler makes of the kernels

Written by `scripts/compile_kernels.py --write`, checked by the same without the flag. Registers are
per thread, shared memory is bytes per program; matrix: instructions of the matrix units (wgmma or
mma); loads and stores: those of 16 bytes; cap: the most registers that the sizes allow, so that one
program more runs on a multiprocessor; stack: bytes that this cap costs. No other has a stack frame.

"""


def _signature(kernel: Any, args: dict[str, object]) -> tuple[dict, dict, dict]:
    """Types, constants and alignments of a launch, as Triton's own launcher would find them."""
    import torch

    names = {
        torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32", torch.int64: "i64",
        torch.int32: "i32", torch.uint8: "u8", torch.bool: "i1",
    }  # fmt: skip
    types, constants, attributes = {}, {}, {}
    for place, parameter in enumerate(kernel.params):
        value = args[parameter.name]
        if parameter.is_constexpr or value is None or (type(value) is int and value == 1):
            types[parameter.name] = "constexpr"
            constants[(place,)] = value
        elif isinstance(value, torch.Tensor):
            types[parameter.name] = f"*{names[value.dtype]}"
            attributes[(place,)] = [["tt.divisibility", 16]]
        elif isinstance(value, int):
            types[parameter.name] = "i32" if -(2**31) <= value < 2**31 else "i64"
            if value % 16 == 0:
                attributes[(place,)] = [["tt.divisibility", 16]]
        else:
            types[parameter.name] = "fp32"
    return types, constants, attributes


def _tool(name: str) -> str:
    spec = importlib.util.find_spec("triton")
    return str(Path(spec.origin).parent / "backends" / "nvidia" / "bin" / name)


def _inspect(cubin: bytes) -> dict[str, Any]:
    """Registers, stack and instructions of a compiled kernel."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        usage = subprocess.run(
            [_tool("cuobjdump"), "-res-usage", file.name],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        sass = subprocess.run(
            [_tool("nvdisasm"), "-c", file.name], capture_output=True, text=True, check=True
        ).stdout
    numbers = {key: int(value) for key, value in re.findall(r"([A-Z]+):(\d+)", usage)}
    return {
        "registers": numbers["REG"],
        "stack": numbers["STACK"] + numbers["LOCAL"],
        "local": len(re.findall(r"\b(?:LDL|STL)\b", sass)),
        "hgmma": len(re.findall(r"\bHGMMA", sass)),
        "hmma": len(re.findall(r"\bHMMA", sass)),
        "loads": len(re.findall(r"\b(?:LDG|LDGSTS)\.\S*128|\bUTMALDG", sass)),
        "stores": len(re.findall(r"\bSTG\.\S*128|\bUTMASTG", sass)),
    }


def _check_binding(launch: Any, target: int, types: dict[str, str]) -> None:
    """Ask Triton's own launcher, which a compilation passes by, what it makes of the arguments."""
    import torch
    from triton.backends.compiler import GPUTarget
    from triton.compiler.compiler import make_backend
    from triton.runtime.jit import create_function_from_signature

    kernel, backend = launch.kernel, make_backend(GPUTarget("cuda", target, 32))
    bind = create_function_from_signature(kernel.signature, kernel.params, backend)
    args = {
        name: torch.empty(64, dtype=value.dtype) if isinstance(value, torch.Tensor) else value
        for name, value in launch.args.items()
    }
    found = [kind for kind, *_ in bind(**args, **launch.config.options())[1]]
    if found != list(types.values()):
        raise SystemExit(f"{kernel.fn.__name__}: launched as {found}, compiled as {types}")


def _compile(launch: Any, target: int) -> dict[str, Any]:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    types, constants, attributes = _signature(launch.kernel, launch.args)
    _check_binding(launch, target, types)
    source = ASTSource(launch.kernel, types, constants, attributes)
    compiled = triton.compile(
        source, target=GPUTarget("cuda", target, 32), options=launch.config.options()
    )
    found = _inspect(compiled.asm["cubin"])
    return {
        "kernel": launch.kernel.fn.__name__, "target": f"sm_{target}",
        "triton": triton.__version__, "warps": launch.config.num_warps,
        "stages": launch.config.num_stages, "shared": compiled.metadata.shared, **found,
        "cap": launch.config.max_registers or 0,
    }  # fmt: skip


def compile_all(chosen: str) -> list[dict[str, Any]]:
    """Compile what the running interpreter's Triton is asked for; rows of the report."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from kernel_cases import cases

    from flare.kernels._launch import recording

    rows, seen = [], set()
    for target in TARGETS:
        for case in cases():
            if not re.search(chosen, case.name):
                continue
            with recording((target // 10, target % 10)) as record:
                case.run()
            for launch in record.launches:
                key = repr((target, _signature(launch.kernel, launch.args), launch.config,
                            launch.kernel.fn.__name__))  # fmt: skip
                if key in seen:
                    continue
                seen.add(key)
                rows.append({**_compile(launch, target), "case": case.name})
                print(rows[-1], file=sys.stderr, flush=True)
    return rows


def faults(row: dict[str, Any]) -> list[str]:
    """Why a kernel is refused."""
    found = []
    if row["stack"] > (SPILLED if row["cap"] else 0) or (row["local"] and not row["cap"]):
        found.append(f"{row['stack']} bytes of stack, {row['local']} uses of local memory")
    if row["shared"] > TARGETS[int(row["target"][3:])]:
        found.append(f"{row['shared']} bytes of shared memory")
    if row["kernel"].startswith(HAS_PRODUCTS) and not row["hmma"] + row["hgmma"]:
        found.append("no matrix instruction")
    is_16_bit = "16" in row["case"]
    if row["kernel"] == "attention_fwd_kernel" and row["target"] == "sm_90" and is_16_bit:
        found += [] if row["hgmma"] else ["no wgmma"]
    if row["kernel"].startswith(WIDE) and not (row["loads"] and row["stores"]):
        found.append(f"{row['loads']} loads and {row['stores']} stores of 16 bytes")
    return found


def shown(row: dict[str, Any]) -> dict[str, str]:
    """A row as the table prints it."""
    matrix = " ".join(f"{row[k]} {name}" for k, name in (("hgmma", "wgmma"), ("hmma", "mma"))
                      if row[k])  # fmt: skip
    numbers = {column: str(row.get(column, "")) for column in COLUMNS}
    few = {column: str(row[column] or "") for column in ("cap", "stack")}
    return {**numbers, **few, "matrix": matrix}


def _key(row: dict[str, str]) -> tuple[str, ...]:
    return row["kernel"], row["case"], row["target"], row["triton"]


def read_table(text: str) -> dict[tuple[str, ...], dict[str, str]]:
    """The rows of a committed table."""
    rows = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == len(COLUMNS) and cells[6].isdigit():
            row = dict(zip(COLUMNS, cells, strict=True))
            rows[_key(row)] = row
    return rows


def write_table(rows: list[dict[str, Any]]) -> str:
    """The table of the report."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    for row in sorted((shown(r) for r in rows), key=_key):
        lines.append("| " + " | ".join(row[column] for column in COLUMNS) + " |")
    return HEAD + "\n".join(lines) + "\n"


def compare(
    rows: list[dict[str, Any]], table: dict[tuple[str, ...], dict[str, str]]
) -> tuple[list[str], list[str]]:
    """What is refused, and what is only worth a word, of the releases that both sides have."""
    refused, said = [], []
    for row in rows:
        name = " · ".join(_key(shown(row)))
        refused += [f"{name}: {fault}" for fault in faults(row)]
        before = table.get(_key(shown(row)))
        if before is None:
            if any(key[3] == row["triton"] for key in table):
                refused.append(f"{name}: not in the table")
            continue
        grown = row["registers"] - int(before["registers"])
        if grown > MORE_REGISTERS:
            refused.append(f"{name}: {row['registers']} registers, {grown} more than in the table")
        elif grown > MORE_REGISTERS // 2:
            said.append(f"{name}: {row['registers']} registers, {grown} more than in the table")
    releases = {row["triton"] for row in rows}
    made = {_key(shown(row)) for row in rows}
    refused += [f"{' · '.join(key)}: in the table, but not compiled"
                for key in table if key[3] in releases and key not in made]  # fmt: skip
    return refused, said


def _pinned_folder() -> Path:
    folder = ROOT / "build" / f"triton-{PINNED}"
    if not (folder / "triton").is_dir():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--no-deps", "--target", str(folder), f"triton=={PINNED}"], check=True,
        )  # fmt: skip
    return folder


def _in_child(release: str, chosen: str) -> list[dict[str, Any]]:
    """compile_all under one release of Triton, in a process of its own."""
    path = [str(ROOT)]
    if release == PINNED:
        path.insert(0, str(_pinned_folder()))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    environment.pop("TRITON_INTERPRET", None)
    environment.setdefault("TRITON_CACHE_DIR", str(ROOT / "build" / "triton-cache"))
    done = subprocess.run(
        [sys.executable, __file__, "--child", "--case", chosen], env=environment,
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def main() -> int:
    """Run what the command line chose."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table")
    parser.add_argument("--case", default="", help="regular expression over the cases' names")
    parser.add_argument("--release", action="append", help="of Triton; default: both")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(compile_all(arguments.case)))
        return 0
    releases = arguments.release or [PINNED, importlib.metadata.version("triton")]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        parts = pool.map(lambda release: _in_child(release, arguments.case), releases)
        rows = [row for part in parts for row in part]
    table = read_table(TABLE.read_text()) if TABLE.exists() and not arguments.write else {}
    if arguments.case:
        table = {key: row for key, row in table.items() if re.search(arguments.case, key[1])}
    refused, said = compare(rows, table)
    print(*(f"note: {line}" for line in said), *(f"refused: {line}" for line in refused), sep="\n")
    if arguments.write and not refused:
        TABLE.write_text(write_table(rows))
    print(f"{len(rows)} kernels compiled, {len(refused)} refused")
    return 1 if refused else 0


if __name__ == "__main__":
    raise SystemExit(main())
