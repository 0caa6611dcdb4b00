"""Writes the codestreams below `seeds/`, which the fuzzers start from: one small drawn image in every codec.

    python -m pip install imagecodecs pillow && python fuzz/seeds.py

The files are committed: nobody needs this script to fuzz. Before each codestream stand the four bytes that
`src/decode/fuzzing.rs` makes the image's form of.
"""

import io
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

SEEDS = Path(__file__).parent / "seeds"


def drawn(rows, columns, bits):
    """A ramp, an edge and some noise."""
    row, column = np.mgrid[:rows, :columns]
    noise = np.random.default_rng(rows * columns).integers(0, 1 << (bits // 2), (rows, columns))
    image = row * 5 + column * 3 + noise + (column > columns // 2) * (1 << (bits - 2))
    return (image % (1 << bits)).astype(np.uint8 if bits <= 8 else np.uint16)


def form(image, bits):
    rows, columns = image.shape
    return bytes([rows - 1, columns - 1, bits - 1, 0 if bits <= 8 else 1])


def write(target, name, image, bits, codestream):
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(form(image, bits) + bytes(codestream))


def packed(plane):
    """PackBits: runs of 2 to 128 as runs, all else as literals of one."""
    out, at = b"", 0
    while at < len(plane):
        run = 1
        while run < 128 and at + run < len(plane) and plane[at + run] == plane[at]:
            run += 1
        out += bytes([257 - run if run > 1 else 0, plane[at]])
        at += run
    return out + b"\0" * (len(out) % 2)


def rle(image):
    planes = [image.tobytes()] if image.itemsize == 1 else [(image >> 8).astype("u1").tobytes(), image.astype("u1").tobytes()]
    segments = [packed(plane) for plane in planes]
    offsets = [64 + sum(map(len, segments[:n])) for n in range(len(segments))]
    words = np.array([len(segments), *offsets] + [0] * (15 - len(offsets)), "<u4")
    return words.tobytes() + b"".join(segments)


def jpeg(image, **options):
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", **options)
    return out.getvalue()


def main():
    for rows, columns in [(8, 8), (13, 9), (40, 33)]:
        at = f"{rows}x{columns}"
        for bits in [8, 12, 16]:
            image = drawn(rows, columns, bits)
            name = f"{at}-{bits}"
            write("rle", name, image, bits, rle(image))
            write("jpeg_lossless", name, image, bits, imagecodecs.ljpeg_encode(image, bitspersample=bits))
            write("jpeg_ls", name, image, bits, imagecodecs.jpegls_encode(image))
            write("jpeg_ls", f"{name}-near", image, bits, imagecodecs.jpegls_encode(image, level=2))
            write("jpeg_xl", name, image, bits, imagecodecs.jpegxl_encode(image, lossless=True, bitspersample=bits))
            write("jpeg_xl", f"{name}-lossy", image, bits, imagecodecs.jpegxl_encode(image, distance=1, bitspersample=bits))
            for how, options in {"": {"reversible": True}, "-lossy": {"reversible": False, "level": 30}}.items():
                codestream = imagecodecs.jpeg2k_encode(image, codecformat="j2k", bitspersample=bits, resolutions=3, **options)
                write("jpeg2000", name + how, image, bits, codestream)
                options = {"reversible": True} if not how else {"reversible": False, "level": 0.02}
                codestream = imagecodecs.htj2k_encode(image, **options)
                codestream = codestream[codestream.index(b"\xff\x4f\xff\x51"):]
                write("jpeg2000", f"{name}{how}-ht", image, bits, codestream)
        image = drawn(rows, columns, 8)
        write("jpeg_dct", f"{at}-8", image, 8, jpeg(image, quality=80))
        write("jpeg_dct", f"{at}-8-progressive", image, 8, jpeg(image, quality=80, progressive=True))
        write("jpeg_dct", f"{at}-8-restarts", image, 8, jpeg(image, quality=50, restart_marker_blocks=1))
        image = drawn(rows, columns, 12)
        write("jpeg_dct", f"{at}-12", image, 12, imagecodecs.jpeg8_encode(image, level=90, bitspersample=12))


if __name__ == "__main__":
    main()
