"""Reads shards with DuckDB: SQL over the metadata, then one image.

usage: python examples/load_duckdb.py OUT        (OUT is the --out of `dcmshard convert`)
"""

import math
import sys

import duckdb
import numpy as np

DTYPES = {"uint8": "u1", "int16": "<i2"}  # image_dtype -> NumPy; always little-endian

db = duckdb.connect()
files = sys.argv[1].replace("'", "''") + "/data/**/*.parquet"
db.execute(f"CREATE VIEW slices AS SELECT * FROM read_parquet('{files}')")

# Only the columns that are named are read.
series = db.sql("""
    SELECT series_key[:8] AS series, count(*) AS slices, count_if(tilt_applied) AS turned,
           round(median(tilt_angle_deg), 2) AS median_tilt_deg
    FROM slices GROUP BY ALL ORDER BY series
""")
print(series)
assert sum(row[1] for row in series.fetchall()) > 0, "no rows"

blob, dtype, shape = db.execute("""
    SELECT image, image_dtype, image_shape FROM slices ORDER BY mask_pixels DESC NULLS LAST, content_id LIMIT 1
""").fetchone()
image = np.frombuffer(blob, DTYPES[dtype]).reshape(shape)  # (channels, rows, columns), C order
print(f"largest head: image {image.shape} {image.dtype}, values {image.min()} to {image.max()}")
assert image.size == math.prod(shape)
assert image.min() < image.max(), "the image is blank"
