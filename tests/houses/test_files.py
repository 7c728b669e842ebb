import gzip
import json
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flare.errors import UserError
from flare.houses.files import read_houses, write_houses

HOUSES = [{"rooms": [1], "name": "eins"}, {"rooms": [2], "name": "zwölf"}]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_what_is_written_is_read_back(tmp_path, name):
    assert write_houses(tmp_path / name, iter(HOUSES)) == 2
    read = read_houses(tmp_path / name)
    assert [json.loads(text) for _, text in read] == HOUSES
    assert [source for source, _ in read] == [f"{name} line 1", f"{name} line 2"]


@given(
    documents=st.lists(st.dictionaries(st.text(), json_values, max_size=3), min_size=1, max_size=4)
)
def test_any_document_survives_the_round_trip(tmp_path_factory, documents):
    path = tmp_path_factory.mktemp("houses") / "a.jsonl.gz"
    write_houses(path, documents)
    assert [json.loads(text) for _, text in read_houses(path)] == documents


def test_the_same_houses_give_the_same_bytes(tmp_path):
    write_houses(tmp_path / "a.jsonl.gz", HOUSES)
    write_houses(tmp_path / "another_name.jsonl.gz", HOUSES)
    first = (tmp_path / "a.jsonl.gz").read_bytes()
    assert first == (tmp_path / "another_name.jsonl.gz").read_bytes()
    assert first[4:8] == b"\0\0\0\0"  # no time of writing


def test_limit_stops_early_and_never_looks_further(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2}\nbroken\n')
    assert len(read_houses(path, limit=2)) == 2
    assert read_houses(path, limit=2)[1][0] == "a.jsonl line 3"  # blank lines count


def test_a_single_document(tmp_path):
    path = tmp_path / "house.json"
    path.write_text(json.dumps(HOUSES[0], indent=2))
    [(source, text)] = read_houses(path)
    assert source == "house.json"
    assert json.loads(text) == HOUSES[0]


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    write_houses(path, HOUSES)
    before = path.read_bytes()

    def breaking():
        yield HOUSES[0]
        raise RuntimeError("the generator broke")

    with pytest.raises(RuntimeError, match="the generator broke"):
        write_houses(path, breaking())
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.jsonl.gz"]


def damaged_gzip(path):
    path.write_bytes(gzip.compress(b'{"a": 1}\n' * 100)[:-20])


@pytest.mark.parametrize(
    ("name", "prepare", "message"),
    [
        ("no.jsonl", lambda path: None, "there is no such file"),
        ("a.txt", lambda path: path.write_text("{}"), "is no house file"),
        ("a.jsonl.gz", lambda path: path.write_text("{}"), "is damaged"),
        ("a.jsonl.gz", damaged_gzip, "is damaged"),
        ("a.jsonl", lambda path: path.write_text('{"a": 1}\n{"a"\n'), "line 2: not JSON"),
        ("a.jsonl", lambda path: path.write_text("[1]\n"), "holds a list instead"),
        ("a.jsonl", lambda path: path.write_text("\n"), "holds no house"),
        ("a.json", lambda path: path.write_bytes(b'{"a": "\xff"}'), "is not UTF-8"),
        ("a.jsonl", lambda path: path.mkdir(), "there is no such file"),
    ],
)
def test_bad_files_are_the_users_errors(tmp_path, name, prepare, message):
    prepare(tmp_path / name)
    with pytest.raises(UserError, match=message):
        read_houses(tmp_path / name)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_houses(tmp_path / "file" / "a.jsonl", HOUSES)
    with pytest.raises(UserError, match="names no house file"):
        write_houses(tmp_path / "a.zip", HOUSES)
    assert stat.S_ISREG((tmp_path / "file").stat().st_mode)
