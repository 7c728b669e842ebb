import errno
import json
import os
from pathlib import Path

import pytest

from flare import atomic
from flare.errors import UserError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail(code):
    def raising(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return raising


def test_write_replaces_the_old_file_and_leaves_no_temporary(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    atomic.write_json(path, {"a": [1, 2]})
    assert json.loads(path.read_text()) == {"a": [1, 2]}
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_keeps_the_old_file_and_says_so(tmp_path, monkeypatch, call):
    path = tmp_path / "weights"
    path.write_bytes(b"old")
    monkeypatch.setattr(atomic.os, call, fail(errno.ENOSPC))
    with pytest.raises(UserError, match=r"weights: the disk is full after 1,000 bytes\. Mend"):
        atomic.write_bytes(path, b"x" * 1000)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["weights"]


def test_an_error_inside_the_block_keeps_the_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), atomic.atomic_write(path) as file:
        file.write(b"half")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_missing_folder_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"cannot write \(No such file or directory\)"):
        atomic.write_text(tmp_path / "none" / "a", "x")


def test_other_operating_system_errors_pass_through(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic.os, "fsync", fail(errno.EIO))
    with pytest.raises(OSError) as caught:
        atomic.write_text(tmp_path / "a", "x")
    assert caught.value.errno == errno.EIO


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError):
        atomic.write_json(tmp_path / "a", float("nan"))
    assert names(tmp_path) == []


def make_folder(path: Path, content: str) -> Path:
    (path / "inner").mkdir(parents=True)
    (path / "inner" / "file").write_text(content)
    return path


def test_replace_directory_swaps_a_whole_folder(tmp_path):
    final = make_folder(tmp_path / "final", "old")
    (final / "extra").write_text("old only")
    atomic.replace_directory(make_folder(tmp_path / "new", "new"), final)
    assert names(tmp_path) == ["final"]
    assert names(final) == ["inner"]
    assert (final / "inner" / "file").read_text() == "new"


def test_replace_directory_puts_the_old_folder_back_when_the_second_rename_fails(
    tmp_path, monkeypatch
):
    final = make_folder(tmp_path / "final", "old")
    new = make_folder(tmp_path / "new", "new")
    real = os.replace

    def second_fails(source, target):
        if Path(source) == new:
            raise OSError(errno.ENOSPC, "full")
        real(source, target)

    monkeypatch.setattr(atomic.os, "replace", second_fails)
    with pytest.raises(UserError, match="the disk is full"):
        atomic.replace_directory(new, final)
    assert (final / "inner" / "file").read_text() == "old"


def test_symlink_is_replaced_and_read(tmp_path):
    link = tmp_path / "latest"
    assert atomic.read_pointer(link) is None
    for target in ("checkpoints/1", "checkpoints/2"):
        atomic.replace_symlink(link, target)
        assert atomic.read_pointer(link) == tmp_path / target
    assert link.is_symlink()
    assert names(tmp_path) == ["latest"]


def test_pointer_is_a_text_file_where_symlinks_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic.os, "symlink", fail(errno.EPERM))
    link = tmp_path / "latest"
    atomic.replace_symlink(link, "checkpoints/7")
    assert not link.is_symlink()
    assert atomic.read_pointer(link) == tmp_path / "checkpoints/7"
