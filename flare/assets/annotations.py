"""What a data set's ``annotations.json.gz`` tells of its assets, and which object type that is."""

import json
import re
from pathlib import Path
from typing import Any

from flare.assets import library_json
from flare.assets.encodings import read_bounded
from flare.errors import UserError

_LARGEST = 2 * 2**30  # bytes after decompression; the published ones have about 100 MiB
_CAPITAL = re.compile(r"[A-Z][a-z0-9]*")


def read_annotations(file: Path) -> dict[str, dict[str, Any]]:
    """Asset id -> record, from a (gzipped) JSON file.

    Raises: UserError naming the file if it is missing, damaged or no map of records.
    """
    try:
        document = json.loads(read_bounded(file, _LARGEST))
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"is not JSON ({str(error)[:80]})", file=file, mend="download it again"
        ) from error
    if not isinstance(document, dict):
        raise UserError("is not a map of asset ids", file=file, mend="download it again")
    for asset_id, record in document.items():
        if not isinstance(record, dict):
            raise UserError(
                f"is a {type(record).__name__}, not a record",
                file=file,
                key=asset_id[:80],
                mend="download it again",
            )
    return document


class TypeNames:
    """Finds the asset library's type for the words that an annotation uses."""

    def __init__(self) -> None:
        library = json.loads(library_json())
        self._types = {entry["type"]: entry["type"] for entry in library["categories"]}
        self._types |= library["synonyms"]
        self._lower = {name.lower(): target for name, target in self._types.items()}

    def of_record(self, record: dict[str, Any]) -> str:
        """Type of an annotated asset, "" if no word of it names one.

        The words, in this order: ``category``, ``most_specific_lemma``, then the ``synset``
        ("coffee_mug.n.01"); each as a whole before its last word alone.
        """
        words = [record.get("category"), record.get("most_specific_lemma")]
        synset = record.get("synset")
        if isinstance(synset, str):
            words.append(synset.split(".")[0])
        names = [_joined(word) for word in words if isinstance(word, str)]
        found = [self._lower[name.lower()] for name in names if name.lower() in self._lower]
        if not found:
            last = [parts[-1] for name in names if (parts := _CAPITAL.findall(name))]
            found = [self._lower[word.lower()] for word in last if word.lower() in self._lower]
        return found[0] if found else ""


def _joined(words: str) -> str:
    """Turn "coffee_mug" and "coffee mug" into "CoffeeMug"; drop an "Obja" in front."""
    parts = re.split(r"[\s_-]+", words.strip())
    name = "".join(part[:1].upper() + part[1:] for part in parts)
    return name.removeprefix("Obja")
