"""The built wheel holds what it should, and works without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    return next(out.glob("cascade_routing-*.whl"))


def test_the_wheel_holds_three_packages_types_and_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("cascade_engine", "langchain_cascade", "llamaindex_cascade"):
        assert f"{package}/__init__.py" in names
        assert f"{package}/py.typed" in names
    assert "cascade_engine/datasets/everyday.jsonl.xz" in names
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"cascade_engine", "langchain_cascade", "llamaindex_cascade"}


def test_the_data_set_stays_small(wheel):
    info = zipfile.ZipFile(wheel).getinfo("cascade_engine/datasets/everyday.jsonl.xz")
    assert info.file_size < 4_000_000


@pytest.mark.slow
def test_an_unpacked_wheel_fits_and_decides(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    program = """
import cascade_engine
from cascade_engine.datasets import load_everyday
assert cascade_engine.__file__.startswith({root!r}), cascade_engine.__file__
data = load_everyday("validation")
router = cascade_engine.CascadeRouter(data.models, budget=data.cost.mean()).fit(data)
print(router.session("What is 2 + 2?").pending.model)
"""
    done = subprocess.run(
        [sys.executable, "-c", program.format(root=str(tmp_path))],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip()
