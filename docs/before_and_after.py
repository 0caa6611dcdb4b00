"""Draws the README's picture: one slice as it was scanned and as it stands in its shard, side by side.

usage: before_and_after.py ARCHIVE OUT PNG      (ARCHIVE by `dcmshard phantom`, OUT with privacy=uids)
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.dataset as pads
import pydicom
from PIL import Image

archive, out, png = map(Path, sys.argv[1:4])
files = json.loads((archive / "truth.json").read_text())["files"]
# of the slices with a bleed the one that lies most askew; among those the one nearest the middle
truth = max(files, key=lambda file: (file["bleed"], abs(file["tilt_deg"]), -abs(file["slice"] - 9)))

dataset = pydicom.dcmread(archive / truth["path"])
hu = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
before = np.floor(np.clip(hu, 0, 80) * 255 / 80 + 0.5).astype(np.uint8)

is_it = pads.field("sop_instance_uid") == truth["sop_instance_uid"]
row = pads.dataset(out / "data", format="parquet").to_table(filter=is_it).to_pylist()[0]
after = np.frombuffer(row["image"], np.uint8).reshape(row["image_shape"])[0]

gap = np.full((before.shape[0], 16), 255, np.uint8)
Image.fromarray(np.hstack([before, gap, after])).save(png, optimize=True)
print(f"{png}: turned by {-row['tilt_angle_deg']:.2f} degrees, drawn with a tilt of {truth['tilt_deg']}")
