"""What several test packages share."""

import os
from pathlib import Path

import pytest
import torch

# Without a GPU the kernels run in Triton's interpreter, which is chosen when they are defined.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
# Poisoning memory needs PyTorch's deterministic mode, and that a size of cuBLAS's own.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

_DEFAULT = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of golden numbers and houses: $FLARE_SHARED, else ../shared of the repository."""
    folder = Path(os.environ.get("FLARE_SHARED", _DEFAULT))
    if not folder.is_dir():
        pytest.skip(f"needs the shared folder; {folder} is absent (set FLARE_SHARED)")
    return folder
