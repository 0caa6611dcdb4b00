"""Promise: plain Parquet readers read every column, and metadata without touching the pixels."""

import io
import os
import subprocess
import sys

import duckdb
import numpy as np
import polars as pl
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from conftest import ROOT

ITEM_BYTES = {"uint8": 1, "int16": 2}
ROWS = 48


def parts(out):
    found = sorted((out / "data").rglob("*.parquet"))
    assert found, f"no shards below {out.name}"
    return found


def test_polars_reads_every_column(shards):
    table = pl.read_parquet(f"{shards}/data/**/*.parquet")
    assert table.height == ROWS
    assert set(table.columns) == set(pq.read_schema(parts(shards)[0]).names)
    for shape, dtype, image in table.select("image_shape", "image_dtype", "image").iter_rows():
        assert len(image) == np.prod(shape) * ITEM_BYTES[dtype]


def test_duckdb_reads_every_column(shards):
    files = f"{shards}/data/**/*.parquet".replace("'", "''")
    cursor = duckdb.connect().execute(f"SELECT * FROM read_parquet('{files}')")
    names = [column[0] for column in cursor.description]
    rows = cursor.fetchall()
    assert len(rows) == ROWS
    assert set(names) == set(pq.read_schema(parts(shards)[0]).names)
    at = {name: index for index, name in enumerate(names)}
    for row in rows:
        assert len(row[at["image"]]) == np.prod(row[at["image_shape"]]) * ITEM_BYTES[row[at["image_dtype"]]]


def test_pyarrow_reads_every_column(shards):
    table = pads.dataset(shards / "data", format="parquet").to_table()
    table.validate(full=True)
    assert table.num_rows == ROWS
    for row in table.select(["image", "image_shape", "image_dtype"]).to_pylist():
        assert len(row["image"]) == np.prod(row["image_shape"]) * ITEM_BYTES[row["image_dtype"]]


def test_required_columns_have_no_nulls(shards):
    table = pads.dataset(shards / "data", format="parquet").to_table()
    required = [field.name for field in table.schema if not field.nullable]
    assert {"source_id", "content_id", "frame", "image", "image_dtype", "image_shape"} <= set(required)
    assert [name for name in required if table.column(name).null_count] == []


def test_images_show_a_head(shards):
    for row in pads.dataset(shards / "data", format="parquet").to_table().to_pylist():
        dtype = {"uint8": "u1", "int16": "<i2"}[row["image_dtype"]]
        image = np.frombuffer(row["image"], dtype).reshape(row["image_shape"])
        background = image.min()
        head = (image[0] > background).mean()
        assert 0.05 < head < 0.75, f"{head:.2f} of the image is above the background"
        assert (image[0, 0] == background).all() and (image[0, :, 0] == background).all()


class CountingFile(io.RawIOBase):
    """A file that counts the bytes read from it."""

    def __init__(self, path):
        self.file, self.bytes_read = open(path, "rb"), 0

    def read(self, size=-1):
        data = self.file.read(size)
        self.bytes_read += len(data)
        return data

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=os.SEEK_SET):
        return self.file.seek(offset, whence)

    def tell(self):
        return self.file.tell()

    def close(self):
        self.file.close()
        super().close()


def test_reading_metadata_does_not_touch_the_pixels(shards):
    for path in parts(shards):
        with CountingFile(path) as file:
            shard = pq.ParquetFile(file, pre_buffer=False)
            names = [name for name in shard.schema_arrow.names if name != "image"]
            assert shard.read(columns=names).num_rows > 0
            share = file.bytes_read / path.stat().st_size
        assert share < 0.10, f"{share:.1%} of the shard was read"


@pytest.mark.parametrize("example", ["load_polars.py", "load_pytorch.py", "load_duckdb.py"])
def test_examples_run(shards, example):
    command = [sys.executable, str(ROOT / "examples" / example), str(shards)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
