"""Feeds shards to PyTorch as they are: plain Parquet, no dcmshard in the training loop.

usage: python examples/load_pytorch.py OUT        (OUT is the --out of `dcmshard convert`)

Where torch is not installed, NumPy stands in for it: the same class, looped over directly.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

try:
    import torch
    from torch.utils.data import DataLoader, IterableDataset, get_worker_info
except ImportError:
    torch, IterableDataset, get_worker_info = None, object, lambda: None

DTYPES = {"uint8": "u1", "int16": "<i2"}  # image_dtype -> NumPy; always little-endian


def images(column, dtype, shape):
    """A FixedSizeBinary column as one array (rows, channels, rows, columns), without a copy."""
    width = column.type.byte_width
    raw = np.frombuffer(column.buffers()[1], np.uint8, count=len(column) * width, offset=column.offset * width)
    return raw.view(DTYPES[dtype]).reshape(len(column), *shape)


class Shards(IterableDataset):
    """Batches of {"image", "tilt_angle_deg"}. Shards are mixed already (recipe order = "shuffled");
    each DataLoader worker takes every n-th shard."""

    def __init__(self, out, batch_size=16):  # 16 rows is one row group: nothing is read twice
        self.files = sorted(Path(out, "data").rglob("*.parquet"))
        self.batch_size = batch_size

    def __iter__(self):
        worker = get_worker_info()
        mine = self.files[worker.id :: worker.num_workers] if worker else self.files
        columns = ["image", "image_dtype", "image_shape", "tilt_angle_deg"]
        for file in mine:
            for batch in pq.ParquetFile(file).iter_batches(self.batch_size, columns=columns):
                first = {name: batch.column(name)[0].as_py() for name in ("image_dtype", "image_shape")}
                image = images(batch.column("image"), first["image_dtype"], first["image_shape"])
                tilt = np.array(batch.column("tilt_angle_deg").to_pylist(), dtype=np.float32)  # null -> NaN
                if torch:  # tensors want memory of their own: one copy
                    image, tilt = torch.from_numpy(image.copy()), torch.from_numpy(tilt)
                yield {"image": image, "tilt_angle_deg": tilt}


if __name__ == "__main__":
    shards = Shards(sys.argv[1])
    loader = DataLoader(shards, batch_size=None, num_workers=0) if torch else shards
    print("with torch", torch.__version__) if torch else print("torch is not installed: numpy stands in for it")
    rows = 0
    for batch in loader:
        if rows == 0:
            print("first batch:", tuple(batch["image"].shape), batch["image"].dtype)
        assert batch["image"].ndim == 4 and len(batch["image"]) == len(batch["tilt_angle_deg"])
        rows += len(batch["image"])
    print("slices seen:", rows)
    assert rows > 0, "no rows"
