"""Reads shards with Polars: counts from the metadata alone, then one image.

usage: python examples/load_polars.py OUT        (OUT is the --out of `dcmshard convert`)
"""

import math
import sys

import numpy as np
import polars as pl

DTYPES = {"uint8": "u1", "int16": "<i2"}  # image_dtype -> NumPy; always little-endian

# Lazy: columns that nothing asks for, `image` above all, are not read from disk.
slices = pl.scan_parquet(sys.argv[1] + "/data/**/*.parquet")

summary = slices.select(
    pl.len().alias("slices"),
    pl.col("series_key").n_unique().alias("series"),
    pl.col("tilt_applied").sum().alias("turned"),
    pl.col("tilt_angle_deg").min().alias("tilt_min_deg"),
    pl.col("tilt_angle_deg").max().alias("tilt_max_deg"),
).collect()
print(summary)
assert summary["slices"].item() > 0, "no rows"

# One slice, as a NumPy array: the one with the most head in it. Ties go to the lowest content_id.
by_size = slices.sort("mask_pixels", "content_id", descending=[True, False], nulls_last=True)
largest = by_size.select("content_id").head(1).collect().item()
row = slices.filter(pl.col("content_id") == largest).head(1).collect().row(0, named=True)
shape = tuple(row["image_shape"])  # (channels, rows, columns), C order
image = np.frombuffer(row["image"], DTYPES[row["image_dtype"]]).reshape(shape)
print(f"largest head: image {image.shape} {image.dtype}, values {image.min()} to {image.max()}, "
      f"tilt {row['tilt_angle_deg']} deg, mask {row['mask_pixels']} px")
assert image.size == math.prod(shape)
assert image.min() < image.max(), "the image is blank"
