"""NumPy, which the interpreter computes with, tells of every overflow; here they are meant."""

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/kernels" in item.nodeid:
            item.add_marker(pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning"))
