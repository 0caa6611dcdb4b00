"""Promise: what the README shows runs as written. Only its folders are replaced by those of a test."""

import re
import sys
import types

import duckdb
import pytest

from conftest import ROOT, run

README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """An archive with all that archives hold besides slices, as shards."""
    folder = tmp_path_factory.mktemp("readme")
    run("phantom", folder / "ct", "--heads", 2, "--slices", 12, "--extras")
    run("convert", folder / "ct", "--out", folder / "heads")
    return str(folder / "heads")


@pytest.fixture
def torch(monkeypatch):
    """torch, or where it is not installed as much of it as the README needs, with NumPy behind it."""
    try:
        import torch
    except ImportError:
        stand_in = types.ModuleType("torch")
        stand_in.from_numpy = lambda array: array
        monkeypatch.setitem(sys.modules, "torch", stand_in)


@pytest.mark.parametrize("code", blocks("python"))
def test_python(code, out, torch):
    assert len(code.splitlines()) == 5
    names = {}
    exec(code.replace("/data/heads", out), names)
    if "polars" in code:
        assert [image.shape for image in names["images"]] == [(1, 512, 512)] * 16
        assert max(image.max() for image in names["images"]) == 255
    else:
        assert tuple(names["x"].shape) == (8, 1, 512, 512), "24 slices: a batch of 16 and one of 8"


def test_sql(out):
    (code,) = blocks("sql")
    counts, files = [duckdb.sql(query.replace("/data/heads", out)).fetchall() for query in code.split(";") if query.strip()]
    assert ("written", None, 24) in counts and ("rejected", "truncated", 1) in counts
    ((reason, detail, path),) = files
    assert reason == "truncated" and detail and path.endswith("ct/PHANTOM_HEAD_01/2_HEAD_5MM/IM-9999.dcm")


def test_files_named_in_the_readme_are_there():
    for name in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / name).exists(), name
