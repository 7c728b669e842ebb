"""Downloads from a server that stalls, cuts short, lies about sizes and answers with errors."""

import base64
import gzip
import hashlib
import os
import threading
from dataclasses import replace

import numpy as np
import pytest

from flare.data.fetch import HttpConfig, Progress, StoppedError, fetch_all, is_here, probe
from flare.errors import UserError
from tests.data.bad_server import Behaviour, serve

BODY = np.random.default_rng(0).bytes(100_000)
PATIENCE = HttpConfig(connections=3, timeout_s=0.3, attempts=3, backoff_s=0.01, piece_bytes=30_000)


def get(behaviour, tmp_path, path="/a.bin", config=PATIENCE, **options):
    """Fetch one file; returns its place and the progress."""
    place, progress = tmp_path / path.lstrip("/"), Progress()
    with serve(behaviour) as url:
        remote = probe(url + path, config)
        fetch_all([(remote, place)], config, progress=progress, **options)
    return place, progress


def leftovers(folder):
    return sorted(name for name in os.listdir(folder) if name.startswith("."))


def test_pieces_come_side_by_side_and_make_the_file(tmp_path):
    behaviour = Behaviour({"/a.bin": BODY}, delay_s=0.3)
    place, progress = get(behaviour, tmp_path, config=replace(PATIENCE, timeout_s=10.0))
    assert place.read_bytes() == BODY and progress.done == len(BODY)
    assert leftovers(tmp_path) == []
    gets = [asked for method, _, asked in behaviour.requests if method == "GET"]
    assert sorted(gets) == ["bytes=0-29999", "bytes=30000-59999", "bytes=60000-89999",
                            "bytes=90000-99999"]  # fmt: skip
    assert behaviour.most_at_once == 3


def test_an_answer_cut_short_is_gone_on_with(tmp_path):
    behaviour = Behaviour({"/a.bin": BODY}, truncate={"/a.bin": 2})
    place, progress = get(behaviour, tmp_path)
    assert place.read_bytes() == BODY and progress.done == len(BODY)
    asked = {asked for method, _, asked in behaviour.requests if method == "GET"}
    assert any(not span.split("=")[1].split("-")[0].endswith("0000") for span in asked)


def test_a_stalled_answer_is_asked_for_again(tmp_path):
    place, progress = get(Behaviour({"/a.bin": BODY}, stall={"/a.bin": 2}), tmp_path)
    assert place.read_bytes() == BODY and progress.done == len(BODY)


def test_passing_errors_pass(tmp_path):
    behaviour = Behaviour({"/a.bin": BODY}, errors={"/a.bin": [503, 500, 0, 429, 502]})
    place, _ = get(behaviour, tmp_path)
    assert place.read_bytes() == BODY


def test_a_server_without_ranges_is_read_in_one_go(tmp_path):
    behaviour = Behaviour({"/a.bin": BODY}, no_ranges={"/a.bin"}, truncate={"/a.bin": 1})
    place, progress = get(behaviour, tmp_path)
    assert place.read_bytes() == BODY and progress.done == len(BODY)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"errors": {"/a.bin": [404]}}, "404"),
        ({"errors": {"/a.bin": [0, 403, 403, 403, 403]}}, "403"),
        ({"errors": {"/a.bin": [500] * 9}}, "500 Internal Server Error, 3 times in a row"),
        ({"stall": {"/a.bin": 99}, "files": {"/a.bin": b"ab"}}, "3 times in a row"),
        ({"told_size": {"/a.bin": 99_000}}, "two sizes"),
        ({"told_size": {"/a.bin": 120_000}}, "bytes"),
        ({"told_size": {"/a.bin": 99_000}, "no_ranges": {"/a.bin"}}, "two sizes"),
        ({"wrong_range": {"/a.bin"}}, "was asked for bytes"),
        ({"headers": {"/a.bin": {"Content-MD5": "AAAA"}}}, "checksum"),
    ],
)
def test_what_cannot_be_had_is_said_and_leaves_no_file(tmp_path, wrong, named):
    with pytest.raises(UserError) as caught:
        get(Behaviour(**{"files": {"/a.bin": BODY}, **wrong}), tmp_path)
    assert named in str(caught.value) and not (tmp_path / "a.bin").exists()


@pytest.mark.parametrize(
    "header",
    [
        {"Content-MD5": base64.b64encode(hashlib.md5(BODY).digest()).decode()},
        {"Repr-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(BODY).digest()).decode()}:"},
        {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(BODY).digest()).decode()},
    ],
    ids=lambda header: next(iter(header)),
)
def test_published_checksums_are_checked(tmp_path, header):
    behaviour = Behaviour({"/a.bin": BODY}, headers={"/a.bin": header})
    place, _ = get(behaviour, tmp_path)
    assert place.read_bytes() == BODY
    other = Behaviour({"/b.bin": BODY[:-1] + b"?"}, headers={"/b.bin": header})
    with pytest.raises(UserError, match="checksum"):
        get(other, tmp_path, "/b.bin")
    assert not (tmp_path / "b.bin").exists() and leftovers(tmp_path) == []


def test_a_gzip_file_that_came_damaged_is_thrown_away(tmp_path):
    body = bytearray(gzip.compress(BODY))
    body[5000] ^= 1
    with pytest.raises(UserError, match="damaged"):
        get(Behaviour({"/a.gz": bytes(body)}), tmp_path, "/a.gz")
    assert os.listdir(tmp_path) == []


def test_a_stopped_download_goes_on_from_its_pieces(tmp_path):
    files, headers = {"/a.bin": BODY}, {"/a.bin": {"ETag": '"one"'}}
    one_by_one = HttpConfig(connections=1, piece_bytes=30_000)
    enough = threading.Event()
    progress = Progress()
    with serve(Behaviour(files, headers)) as url:
        remote = probe(url + "/a.bin", one_by_one)
        with pytest.raises(StoppedError):
            fetch_all(
                [(remote, tmp_path / "a.bin")], one_by_one, progress=progress,
                should_stop=lambda: progress.done >= 60_000 or enough.is_set(),
            )  # fmt: skip
    assert leftovers(tmp_path) == [".a.bin.part", ".a.bin.part.json"]
    again = Behaviour(files, headers)
    place, _ = get(again, tmp_path, config=one_by_one)
    assert place.read_bytes() == BODY
    asked = {asked for method, _, asked in again.requests if method == "GET"}
    assert asked == {"bytes=60000-89999", "bytes=90000-99999"}


def test_a_file_that_changed_meanwhile_begins_anew(tmp_path):
    one_by_one = HttpConfig(connections=1, piece_bytes=30_000)
    progress = Progress()
    with serve(Behaviour({"/a.bin": BODY}, {"/a.bin": {"ETag": '"one"'}})) as url:
        remote = probe(url + "/a.bin", one_by_one)
        with pytest.raises(StoppedError):
            fetch_all(
                [(remote, tmp_path / "a.bin")], one_by_one, progress=progress,
                should_stop=lambda: progress.done >= 60_000,
            )  # fmt: skip
    changed = BODY[::-1]
    behaviour = Behaviour({"/a.bin": changed}, {"/a.bin": {"ETag": '"two"'}})
    place, _ = get(behaviour, tmp_path, config=one_by_one)
    assert place.read_bytes() == changed


def test_a_file_that_changes_under_way_is_refused(tmp_path):
    behaviour = Behaviour({"/a.bin": BODY}, {"/a.bin": {"ETag": '"one"'}})
    with serve(behaviour) as url:
        remote = probe(url + "/a.bin", PATIENCE)
        behaviour.headers["/a.bin"]["ETag"] = '"two"'
        with pytest.raises(UserError, match="has changed since"):
            fetch_all([(remote, tmp_path / "a.bin")], PATIENCE, progress=Progress())
    assert not (tmp_path / "a.bin").exists()


def test_what_is_there_stays(tmp_path):
    place = tmp_path / "a.bin"
    with serve(Behaviour({"/a.bin": BODY})) as url:
        remote = probe(url + "/a.bin", PATIENCE)
        assert not is_here(place, remote)
        place.write_bytes(BODY)
        assert is_here(place, remote)
        place.write_bytes(b"mine")
        with pytest.raises(UserError, match="exists already"):
            is_here(place, remote)
        with pytest.raises(UserError, match="appeared meanwhile"):
            fetch_all([(remote, place)], PATIENCE, progress=Progress())
    assert place.read_bytes() == b"mine"


def test_one_bad_file_ends_the_others_with_its_reason(tmp_path):
    behaviour = Behaviour({"/a.bin": BODY, "/b.bin": BODY}, wrong_range={"/b.bin"})
    with serve(behaviour) as url:
        wanted = [(probe(url + p, PATIENCE), tmp_path / p[1:]) for p in ("/a.bin", "/b.bin")]
        with pytest.raises(UserError, match=r"b\.bin was asked"):
            fetch_all(wanted, PATIENCE, progress=Progress())
    assert not (tmp_path / "a.bin").exists() and not (tmp_path / "b.bin").exists()


def test_nobody_there():
    with serve(Behaviour({})) as url:
        pass
    with pytest.raises(UserError, match="3 times in a row"):
        probe(url + "/a.bin", PATIENCE)
