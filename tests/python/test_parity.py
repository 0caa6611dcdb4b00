"""Promise: recipe `seed` equals the published Python recipe. Needs the recipe and the data that stand beside a
developer's checkout; where they do not, these tests are skipped and say so."""

import subprocess
import sys

import pytest

from conftest import ROOT, run

SHARED = ROOT.parent / "shared"
COMPARE = SHARED / "oracle" / "compare.py"
SERIES = ["head-ct-tilt", "head-phantom-study/S21570/S2010", "chest-ct"]


def parity(source, out):
    run("convert", source, "--out", out, "--recipe", "seed", "--set", "privacy=uids")
    done = subprocess.run([sys.executable, str(COMPARE), str(source), str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "parity holds" in done.stdout


@pytest.mark.skipif(not COMPARE.exists(), reason="../shared/oracle is not here")
def test_phantoms(small_archive, tmp_path):
    parity(small_archive.folder, tmp_path / "out")


@pytest.mark.skipif(not COMPARE.exists(), reason="../shared/oracle is not here")
@pytest.mark.parametrize("series", SERIES)
def test_real_series(series, tmp_path):
    source = SHARED / "data" / "series" / series
    if not source.exists():
        pytest.skip("../shared/data is not here")
    parity(source, tmp_path / "out")
