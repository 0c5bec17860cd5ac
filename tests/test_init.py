import importlib
import subprocess
import sys

import pytest

import kasmina


@pytest.mark.parametrize("name", kasmina.__all__)
def test_every_exported_name_is_there(name):
    assert getattr(kasmina, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = kasmina.nothing


def test_graft_is_the_function_whatever_was_imported_before():
    module = importlib.import_module("kasmina.graft")
    assert kasmina.graft is module.graft


def test_importing_the_package_imports_nothing_else():
    code = "import sys, kasmina; print(sorted(m for m in sys.modules if m.startswith('kasmina')))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "['kasmina', 'kasmina._version']"
