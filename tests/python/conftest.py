"""Fixtures: the built program, and archives and shards made with it. Everything lies in a temporary folder."""

import io
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


RELEASE = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"


def program():
    """The binary: $DCMSHARD_BIN, or what `cargo build --release` left."""
    return os.environ.get("DCMSHARD_BIN") or str(RELEASE / "dcmshard")


def run(*arguments):
    """Runs the program; a failure shows what it printed."""
    done = subprocess.run([program(), *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"exit {done.returncode}: {arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def stored_values(paths):
    """What the example of this name finds in each file: an array (frame, row, column), or "reason: detail"."""
    paths = [str(path) for path in paths]
    done = subprocess.run([RELEASE / "examples" / "stored_values", *paths], capture_output=True, check=True)
    out, found = io.BytesIO(done.stdout), [[] for _ in paths]
    for line in iter(out.readline, b""):
        head = json.loads(line)
        if "reason" in head:
            found[head["file"]] = f"{head['reason']}: {head['detail']} (frame {head['frame']})"
        else:
            count = int(np.prod(head["shape"]))
            values = np.frombuffer(out.read(count * int(head["dtype"][2:])), head["dtype"])
            found[head["file"]].append(values.reshape(head["shape"]))
    return [frames if isinstance(frames, str) else np.stack(frames) for frames in found]


class Archive:
    """A folder of phantoms and what is known of it."""

    def __init__(self, folder, **options):
        flags = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", value)]
        run("phantom", folder, *flags)
        self.folder = folder
        self.truth = json.loads((folder / "truth.json").read_text())


@pytest.fixture(scope="session")
def small_archive(tmp_path_factory):
    """3 heads of 16 slices: three whole row groups."""
    return Archive(tmp_path_factory.mktemp("small") / "archive", heads=3, slices=16, seed=5)


@pytest.fixture(scope="session")
def tilt_archive(tmp_path_factory):
    """10 heads of 20 slices, tilts over -25 to 25 degrees."""
    return Archive(tmp_path_factory.mktemp("tilt") / "archive", heads=10, slices=20, seed=7)


@pytest.fixture(scope="session", params=["head", "head-hu", "head-3win"])
def shards(request, small_archive, tmp_path_factory):
    """The small archive as shards, once for each recipe."""
    out = tmp_path_factory.mktemp(request.param) / "out with a space"
    run("convert", small_archive.folder, "--out", out, "--recipe", request.param)
    return out
