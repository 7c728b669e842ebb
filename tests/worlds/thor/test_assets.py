"""Mesh files as the worker reads them before it hands them to AI2-THOR."""

import gzip
import os
import pickle

import numpy as np
import pytest

from flare.worlds.thor_worker.assets import _read_asset


def write(path, content):
    path.write_bytes(gzip.compress(pickle.dumps(content)))
    return str(path)


def test_numbers_in_arrays_lists_and_maps_are_read(tmp_path):
    mesh = {"name": "mug", "vertices": np.arange(6.0), "triangles": [0, 1, 2]}
    read = _read_asset(write(tmp_path / "mug.pkl.gz", mesh), ".pkl.gz")
    assert np.array_equal(read["vertices"], mesh["vertices"]) and read["triangles"] == [0, 1, 2]


class Command:
    def __reduce__(self):
        return os.system, ("echo this ran > ran",)


def test_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match="system"):
        _read_asset(write(tmp_path / "mug.pkl.gz", {"name": Command()}), ".pkl.gz")
    assert not (tmp_path / "ran").exists()
