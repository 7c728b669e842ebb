import pickle
import sys
from types import SimpleNamespace

import pytest

from flare.errors import UserError, user_error_types


def test_message_names_file_key_what_and_mend():
    error = UserError("-1 is negative.", mend="give a positive number", file="a.json", key="ppo.lr")
    assert str(error) == "a.json: ppo.lr: -1 is negative. Mend: give a positive number."


def test_message_without_place_and_over_several_lines_is_one_line():
    assert str(UserError("two\n  lines", mend="join\nthem.")) == "two lines. Mend: join them."


def test_error_survives_pickling():
    error = UserError("bad", mend="mend it", file="f", key="k")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.mend, copy.file, copy.key) == (str(error), "mend it", "f", "k")


def test_at_adds_file_and_prefix_but_keeps_an_inner_file():
    inner = UserError("bad", mend="mend it", key="clip_coef")
    assert str(inner.at(file="c.json", prefix="ppo")).startswith("c.json: ppo.clip_coef: bad.")
    assert UserError("bad", mend="m", file="inner").at(file="outer").file == "inner"


def test_core_errors_count_as_user_errors_once_the_core_is_loaded(monkeypatch):
    monkeypatch.delitem(sys.modules, "flare._core", raising=False)
    assert user_error_types() == (UserError,)

    class FlareError(RuntimeError):
        pass

    monkeypatch.setitem(sys.modules, "flare._core", SimpleNamespace(FlareError=FlareError))
    with pytest.raises(user_error_types()):
        raise FlareError("shape")
