"""flare download as a command: names, layouts, questions, archives."""

import gzip
import io
import os
import tarfile

import numpy as np
import pytest

from flare import cli
from flare.data.sources import sources
from flare.data.unpack import unpack
from flare.errors import UserError
from tests.data.bad_server import Behaviour, serve

HOUSES = "/procthor_objaverse%2F2023_07_28%2F{}.jsonl.gz"


def download(url, out, *arguments):
    quick = ("--http.attempts", "2", "--http.backoff-s", "0.01", "--http.timeout-s", "2")
    return cli.main([
        "download", *map(str, arguments), "--out", str(out), "--mirror", url, *quick
    ])  # fmt: skip


def tar(files, mode="w:gz"):
    """An archive of a name to content table; content None makes a symbolic link."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def test_houses_by_split(tmp_path, capsys):
    body = gzip.compress(b'{"rooms": []}\n')
    behaviour = Behaviour({HOUSES.format(split): body for split in ("train", "val")})
    with serve(behaviour) as url:
        assert download(url, tmp_path, "houses", "--subset", "val", "--yes") == 0
        place = tmp_path / "houses_2023_07_28" / "val.jsonl.gz"
        assert place.read_bytes() == body and os.listdir(place.parent) == ["val.jsonl.gz"]
        told = capsys.readouterr().out
        assert f"{len(body)} bytes" in told and "are free" in told
        assert download(url, tmp_path, "houses", "--subset", "val", "--yes") == 0
        assert "is there already" in capsys.readouterr().out
    assert sum(method == "GET" for method, _, _ in behaviour.requests) == 1


def test_nothing_comes_unasked(tmp_path, capsys, monkeypatch):
    behaviour = Behaviour({HOUSES.format("val"): gzip.compress(b"x")})
    flags = ("houses", "--subset", "val")
    with serve(behaviour) as url:
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        assert download(url, tmp_path, *flags) == 2  # not a terminal
        assert "--yes" in capsys.readouterr().err
        answers = iter(["n", "", "y"])
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("builtins.input", lambda _: next(answers))
        assert [download(url, tmp_path, *flags) for _ in range(3)] == [1, 1, 0]
    assert sum(method == "GET" for method, _, _ in behaviour.requests) == 1


def test_data_is_unpacked_under_its_new_name(tmp_path, capsys):
    content = np.random.default_rng(0).bytes(50_000)
    files = {
        "SimpleExploreHouse/train/000001/hdf5_sensors.hdf5": content,
        "SimpleExploreHouse/house_id_to_sub_house_id_train.json": b"{}",
        "SimpleExploreHouse/link": None,
    }
    behaviour = Behaviour({"/astar/SimpleExploreHouse.tar.gz": tar(files)})
    with serve(behaviour) as url:
        assert download(url, tmp_path, "data", "--subset", "RoomVisit", "--yes") == 0
        folder = tmp_path / "astar" / "RoomVisit"
        assert (folder / "train/000001/hdf5_sensors.hdf5").read_bytes() == content
        assert (folder / "house_id_to_sub_house_id_train.json").is_file()
        assert not (folder / "link").exists()
        assert os.listdir(folder.parent) == ["RoomVisit"]  # no archive, nothing half
        assert download(url, tmp_path, "data", "--subset", "RoomVisit", "--yes") == 0
    assert sum(method == "GET" for method, _, _ in behaviour.requests) == 1
    assert "while it is unpacked" in capsys.readouterr().out


def test_a_broken_archive_leaves_nothing(tmp_path, capsys):
    body = bytearray(tar({"FetchType/a": np.random.default_rng(0).bytes(30_000)}))
    body[9_000] ^= 255
    with serve(Behaviour({"/astar/FetchType.tar.gz": bytes(body)})) as url:
        assert download(url, tmp_path, "data", "--subset", "FetchType", "--yes") == 2
    assert "is damaged" in capsys.readouterr().err
    assert os.listdir(tmp_path / "astar") == []


@pytest.mark.parametrize("name", ["/etc/x", "top/../../x", "../x"])
def test_an_archive_stays_in_its_folder(tmp_path, name):
    archive = tmp_path / "a.tar"
    archive.write_bytes(tar({"top/good": b"1", name: b"2"}, "w"))
    with pytest.raises(UserError, match="leads out"):
        unpack(archive, tmp_path / "a")
    assert os.listdir(tmp_path) == ["a.tar"]


def test_a_stopped_unpacking_is_done_later(tmp_path):
    archive = tmp_path / "a.tar"
    archive.write_bytes(tar({"./top/x": b"1", "./top/y/z": b"2"}, "w"))
    assert not unpack(archive, tmp_path / "a", should_stop=lambda: True)
    assert os.listdir(tmp_path) == ["a.tar"]
    assert unpack(archive, tmp_path / "a")
    assert (tmp_path / "a/x").read_bytes() == b"1" and (tmp_path / "a/y/z").read_bytes() == b"2"
    assert not archive.exists()


def test_public_names_and_places(tmp_path, monkeypatch):
    def names(what, **options):
        return {
            s.name: str(s.target.relative_to(tmp_path)) for s in sources(what, tmp_path, **options)
        }

    assert names("houses") == {
        "train": "houses_2023_07_28/train.jsonl.gz", "val": "houses_2023_07_28/val.jsonl.gz",
    }  # fmt: skip
    assert names("data") == {
        task: f"astar/{task}" for task in ("PickupType", "RoomVisit", "FetchType", "ObjectNavType")
    }
    assert len(names("data", types="all")) == len(names("data", types="fifteen")) == 10
    assert names("checkpoints")["spoc_IL"] == "spoc_IL/model.ckpt"
    assert names("assets") == {"assets": "2023_07_28/assets"}
    assert names("annotations") == {"annotations": "2023_07_28/annotations.json.gz"}
    monkeypatch.setenv("OBJAVERSE_DATA_DIR", str(tmp_path / "mine"))
    assert sources("assets", None)[0].target == tmp_path / "mine/2023_07_28/assets"
    urls = {s.name: s.url for s in sources("data", tmp_path, types="fifteen")}
    assert urls["ObjectNavDescription"].endswith("/fifteen_type/ObjectNavOpenVocab.tar.gz")
    with pytest.raises(UserError, match="choose among train, val"):
        sources("houses", tmp_path, subset=("test",))


def test_bad_flags_are_one_line(tmp_path, capsys):
    assert download("ftp://x", tmp_path, "houses") == 2
    assert "mirror" in capsys.readouterr().err
    with serve(Behaviour({})) as url:
        assert download(url, tmp_path, "checkpoints", "--subset", "fetch", "--yes") == 2
    assert "404" in capsys.readouterr().err
