"""What fuzzing starts from is accepted: mutations of files that are refused lead nowhere."""

import re
from pathlib import Path

import pytest

from flare.worlds.embedded import AssetPack, load_house

FUZZ = Path(__file__).parents[2] / "csrc" / "fuzz"
HOUSES = sorted((FUZZ / "corpus" / "house").iterdir())
PACKS = sorted((FUZZ / "corpus" / "pack").iterdir())


@pytest.mark.parametrize("path", HOUSES, ids=lambda path: path.name)
def test_houses_of_the_corpus_can_be_played(path: Path) -> None:
    assert path.stat().st_size < 16_000, "small files are mutated more often"
    assert len(load_house(path.read_text(), path.name).reachable()) > 100


def test_the_corpus_has_both_schemas_doors_windows_and_children() -> None:
    text = " ".join(path.read_text() for path in HOUSES)
    for key in ('"schema":"0.0.1"', '"schema":"1.0.0"', '"boundingBox"', '"openness"', '"window|'):
        assert key in text
    assert re.search(r'"children":\[\{', text)


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.name)
def test_packs_of_the_corpus_are_read(path: Path) -> None:
    pack = AssetPack.open(str(path))
    pack.check()
    assert len(pack) > 0


def test_the_dictionary_holds_what_the_loader_looks_for() -> None:
    """A key that is read by name in csrc/sim but missing there would seldom be met."""
    sources = "".join(
        (FUZZ.parent / "sim" / name).read_text()
        for name in ("house_loader.cpp", "object_reader.cpp", "json_fields.cpp")
    )
    read = set(re.findall(r'(?:field|find|coordinate|angle|channel|at)\("(\w+)"\)', sources))
    entries = set(re.findall(r'^"\\"(\w+)\\":?"$', (FUZZ / "house.dict").read_text(), re.MULTILINE))
    assert len(read) > 25
    assert read <= entries
