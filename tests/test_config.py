import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flare.config import (
    differences,
    flatten,
    from_dict,
    load_config,
    resolved,
    save_config,
    to_dict,
)
from flare.errors import UserError


class Memory(Enum):
    RESET = "reset"
    CARRY = "carry"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ppo:
    clip_coef: float = 0.1
    num_epochs: int = 4
    target_kl: float | None = None
    memory: Memory = Memory.RESET

    def __post_init__(self) -> None:
        if not 0 < self.clip_coef < 1:
            raise UserError(
                f"{self.clip_coef} is not in (0, 1)", mend="choose one there", key="clip_coef"
            )
        if self.num_epochs < 1:
            raise ValueError(f"num_epochs must be at least 1, got {self.num_epochs}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    seed: int
    preset: Literal["flare", "demo"] = "demo"
    houses: Path | None = None
    use_gpu: bool = False
    shape: tuple[int, int] = (84, 112)
    rooms: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    ppo: Ppo = field(default_factory=Ppo)


FULL = Recipe(
    seed=3,
    preset="flare",
    houses=Path("a/b.jsonl.gz"),
    use_gpu=True,
    rooms=("kitchen",),
    weights={"a": 0.5, "b": float("inf")},
    ppo=Ppo(clip_coef=0.2, target_kl=0.01, memory=Memory.CARRY),
)


@pytest.mark.parametrize("config", [Recipe(seed=0), FULL], ids=["defaults", "full"])
def test_saved_config_loads_equal(tmp_path, config):
    path = tmp_path / "config.json"
    save_config(config, path)
    assert load_config(path, Recipe) == config


@given(
    st.floats(0, 1, exclude_min=True, exclude_max=True),
    st.integers(1, 2**40),
    st.one_of(st.none(), st.floats(allow_nan=False)),
    st.lists(st.text()),
)
def test_any_values_survive_json(clip_coef, num_epochs, target_kl, rooms):
    config = Recipe(
        seed=num_epochs,
        rooms=tuple(rooms),
        ppo=Ppo(clip_coef=clip_coef, num_epochs=num_epochs, target_kl=target_kl),
    )
    assert from_dict(json.loads(json.dumps(to_dict(config))), Recipe) == config


def test_absent_fields_take_their_defaults():
    assert from_dict({"seed": 1, "ppo": {"num_epochs": 2}}, Recipe) == Recipe(
        seed=1, ppo=Ppo(num_epochs=2)
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"seed": 1, "ppo": {"clip_cof": 1}}, "ppo.clip_cof: unknown field. Mend: did you mean"),
        ({"seed": 1, "qqqqqq": 1}, "qqqqqq: unknown field. Mend: remove it; the fields here are"),
        ({}, "seed: missing. Mend"),
        ({"seed": True}, "seed: true where an integer belongs"),
        ({"seed": 1.5}, "seed: 1.5 where an integer belongs"),
        ({"seed": None}, "seed: null where an integer belongs"),
        ({"seed": 1, "use_gpu": 1}, "use_gpu: 1 where true or false belongs"),
        (
            {"seed": 1, "preset": "big"},
            'preset: "big" is not a choice. Mend: choose one of "fl',
        ),
        ({"seed": 1, "houses": 5}, "houses: 5 where a path as text belongs"),
        ({"seed": 1, "shape": [1]}, "shape: 1 values where 2 belong"),
        ({"seed": 1, "shape": 4}, "shape: 4 where a list belongs"),
        ({"seed": 1, "rooms": ["a", 2]}, "rooms[1]: 2 where text belongs"),
        ({"seed": 1, "weights": {"a": "x"}}, 'weights.a: "x" where a number belongs'),
        ({"seed": 1, "ppo": 3}, "ppo: 3 where an object belongs"),
        ({"seed": 1, "ppo": {"clip_coef": 2}}, "ppo.clip_coef: 2.0 is not in (0, 1). Mend: "),
        ({"seed": 1, "ppo": {"num_epochs": 0}}, "ppo: num_epochs must be at least 1, got 0"),
        ({"seed": 1, "ppo": {"memory": "keep"}}, 'ppo.memory: "keep" is not a choice'),
    ],
)
def test_a_mistake_names_file_key_and_mend(tmp_path, data, message):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UserError) as caught:
        load_config(path, Recipe)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "Mend: " in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"seed": 1,}', "not JSON: "),
        (b"[1]", "holds a list instead of a JSON object"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
    ],
)
def test_files_that_hold_no_object(tmp_path, content, message):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_config(path, Recipe)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load_config(tmp_path / "none.json", Recipe)
    with pytest.raises(UserError, match="cannot read"):
        load_config(tmp_path, Recipe)


def test_unsupported_annotations_are_our_own_bug():
    @dataclass(frozen=True)
    class Bad:
        value: complex = 0j

    with pytest.raises(TypeError, match="complex"):
        from_dict({"value": 1}, Bad)
    with pytest.raises(TypeError, match="complex"):
        to_dict(Bad())
    with pytest.raises(TypeError, match="dataclass"):
        to_dict({"a": 1})


def test_flatten_and_differences_use_dotted_keys():
    assert flatten({"a": {"b": 1, "c": {}}, "d": [2]}) == {"a.b": 1, "a.c": {}, "d": [2]}
    assert differences({"a": {"b": 1}, "x": 1}, {"a": {"b": 2}, "y": None}) == [
        "a.b: 1, 2",
        "x: 1, absent",
        "y: absent, null",
    ]
    assert differences({"a": {"b": 1}}, {"a": {"b": 1}}) == []


def test_resolved_lists_every_field_on_a_line():
    lines = resolved(FULL).splitlines()
    assert "ppo.clip_coef  = 0.2" in lines
    assert 'houses         = "a/b.jsonl.gz"' in lines
    assert len(lines) == 12
