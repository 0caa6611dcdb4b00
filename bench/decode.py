"""CPU time of decoding a frame, by transfer syntax, beside the fastest plugin of pydicom: `make bench-decode`.

usage: decode.py STORED_VALUES DCMSHARD [PART...]    the two built programs; only files whose syntax or name has PART

Files are those of ../shared/data/syntax where that is; of syntaxes that are not there, and everywhere else, phantom
slices of 512x512 that other projects' encoders packed. Every figure is CPU time of the whole process (user and
system, all threads) for one frame, from the file's bytes in memory to an array of stored values; for this program
that is with the hash that is every input's identity. Rounds alternate (ours, theirs, ours, ...). A peer is the fastest
of all installed plugins that decode the file; of syntaxes that pydicom does not know it is the reference library.
`codec` is the peer on a data set that is parsed already.

Ends with 1 where a file of one channel is not decoded; how fast is for the reader to judge.
"""

import io
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[name] = "1"
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "python"))

import numpy as np
import pydicom
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder

import encoded
from dicom_file import DEFLATED, ROOT_UID, cells, ct, encapsulated

ROUNDS = 7
PASS_MS = 50.0
DATA = ROOT.parent / "shared" / "data" / "syntax"


# --- files


def htj2k(values):
    return encoded.htj2k(values.astype(np.int16), reversible=True)[0]


def jpeg(values, bits):
    return bytes(encoded.imagecodecs.jpeg8_encode(cells(values >> (12 - bits), bits), 90, bitspersample=bits))


# of a slice of 12 bits: (bits stored, the frame's bytes)
MADE = {
    ".1.98": lambda values: (16, cells(values, 16).tobytes()),
    ".8.1": lambda values: (16, encoded.raw_deflate(cells(values, 16).tobytes())),
    ".5": lambda values: (16, encoded.rle_frame(values, 16)),
    ".4.50": lambda values: (8, jpeg(values, 8)),
    ".4.51": lambda values: (12, jpeg(values, 12)),
    ".4.53": lambda values: (12, encoded.progressive(jpeg(values, 12), False)),
    ".4.55": lambda values: (12, encoded.progressive(jpeg(values, 12), True)),
    ".4.57": lambda values: (12, encoded.jpeg_lossless_frame(cells(values, 12), 12, 4)),
    ".4.70": lambda values: (12, encoded.jpeg_lossless_frame(cells(values, 12), 12, 1)),
    ".4.80": lambda values: (12, encoded.jpeg_ls_frame(cells(values, 12), 12)[0]),
    ".4.81": lambda values: (12, encoded.jpeg_ls_frame(cells(values, 12), 12, 2)[0]),
    ".4.90": lambda values: (12, encoded.j2k(cells(values, 12), 12)[0]),
    ".4.91": lambda values: (12, encoded.j2k(cells(values, 12), 12, level=60, reversible=False)[0]),
    ".4.201": lambda values: (12, htj2k(values)),
    ".4.202": lambda values: (12, htj2k(values)),
    ".4.203": lambda values: (12, encoded.htj2k(cells(values, 12), level=0.0005, reversible=False)[0]),
    ".4.110": lambda values: (12, encoded.jpeg_xl_frame(cells(values, 12), 12, lossless=True)[0]),
    ".4.111": lambda values: (8, bytes(encoded.imagecodecs.jpegxl_encode_jpeg(jpeg(values, 8)))),
    ".4.112": lambda values: (12, encoded.jpeg_xl_frame(cells(values, 12), 12, distance=0.5)[0]),
}


def phantom(program, folder):
    """A slice of 512x512, 12 bits unsigned."""
    subprocess.run([program, "phantom", folder, "--heads", "1", "--slices", "3"], check=True, capture_output=True)
    truth = json.loads((folder / "truth.json").read_text())["files"][1]
    values = pydicom.dcmread(folder / truth["path"]).pixel_array.astype(np.int64)
    return np.clip(values, 0, 4095)


def files(program, folder):
    """(syntax, name, path) of every single-channel file, by syntax."""
    found = []
    for path in sorted(DATA.rglob("*.dcm")):
        data = pydicom.dcmread(path, stop_before_pixels=True)
        if data.SamplesPerPixel == 1 and data.BitsAllocated in (8, 16, 32):
            syntax = str(data.file_meta.TransferSyntaxUID).removeprefix(ROOT_UID)
            found.append((syntax, path.relative_to(DATA).as_posix(), path))
    values = phantom(program, folder / "phantom")
    for syntax, encode in MADE.items():
        if syntax not in {of for of, _, _ in found}:
            bits, frame = encode(values)
            path = folder / f"made{syntax}.dcm"
            ct(path, syntax, encapsulated([frame]), (1, *values.shape), bits, False)
            found.append((syntax, "phantom", path))
    return sorted(found, key=lambda file: [int(part) for part in file[0].split(".") if part])


# --- peers


def frames_of(data, decode):
    count = int(data.get("NumberOfFrames", 1) or 1)
    return [decode(frame) for frame in generate_frames(data.PixelData, number_of_frames=count)]


LIBRARIES = {
    ".4.53": ("libjpeg-turbo", encoded.imagecodecs.jpeg8_decode),
    ".4.55": ("libjpeg-turbo", encoded.imagecodecs.jpeg8_decode),
    ".4.110": ("libjxl", lambda frame: encoded.imagecodecs.jpegxl_decode(frame, numthreads=1)),
    ".4.111": ("libjxl", lambda frame: encoded.imagecodecs.jpegxl_decode(frame, numthreads=1)),
    ".4.112": ("libjxl", lambda frame: encoded.imagecodecs.jpegxl_decode(frame, numthreads=1)),
}


def peers(syntax):
    """Name: what decodes all frames of a data set."""
    if syntax in LIBRARIES:
        name, decode = LIBRARIES[syntax]
        return {name: lambda data: frames_of(data, decode)}
    try:
        decoder = get_decoder(ROOT_UID + syntax)
    except NotImplementedError:
        return {}

    def with_plugin(plugin):
        return lambda data: decoder.as_array(data, decoding_plugin=plugin, raw=True)

    return {plugin or "pydicom": with_plugin(plugin) for plugin in decoder.available_plugins or ("",)}


def parse(content):
    return pydicom.dcmread(io.BytesIO(content))


def cpu_ms(work, passes=1):
    start = time.process_time()
    for _ in range(passes):
        work()
    return (time.process_time() - start) * 1e3 / passes


def fastest(syntax, content):
    """(name, decode) of the fastest peer that decodes the file, or None."""
    data, times = parse(content), {}
    for name, decode in peers(syntax).items():
        try:
            decode(data)
            times[name] = min(cpu_ms(lambda: decode(data)) for _ in range(3))
        except Exception:
            continue
    name = min(times, key=times.get, default=None)
    return name and (name, peers(syntax)[name])


# --- the two sides


class Refused(Exception):
    pass


def ours(program, path, passes):
    """CPU time of a frame (ms) in each pass."""
    done = subprocess.run([program, "--repeat", str(passes), path], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    if "reason" in told:
        raise Refused(f"{told['reason']}: {told['detail']}")
    return told["frames"], told["cpu_ms"]


def compare(program, syntax, path):
    """Rounds of (ours, theirs, their codec), ms a frame; and the peer's name."""
    content = path.read_bytes()
    count, (first,) = ours(program, path, 1)
    passes = max(1, min(500, int(PASS_MS / max(first * count, 0.01))))
    peer = fastest(syntax, content)
    rounds = []
    for _ in range(ROUNDS):
        mine = statistics.mean(ours(program, path, passes)[1])
        if peer is None:
            rounds.append((mine, None, None))
            continue
        decode, data = peer[1], parse(content)
        each = cpu_ms(lambda: decode(parse(content))) / count
        their_passes = max(1, min(500, int(PASS_MS / max(each * count, 0.01))))
        whole = cpu_ms(lambda: decode(parse(content)), their_passes) / count
        rounds.append((mine, whole, cpu_ms(lambda: decode(data), their_passes) / count))
    return rounds, peer and peer[0]


def spread(times):
    return f"{min(times):.3f} / {statistics.median(times):.3f}"


def ratio(mine, theirs):
    return f"{statistics.median(mine) / statistics.median(theirs):.2f}"


def line(syntax, name, rounds, peer):
    mine, whole, codec = zip(*rounds)
    start = f"| {syntax or '(implicit)'} | {name} | {spread(mine)} |"
    if peer is None:
        return f"{start} none | | | | |"
    start += f" {peer} | {spread(whole)} | {ratio(mine, whole)} |"
    # of a deflated data set the parser has inflated all
    return f"{start} | |" if syntax == DEFLATED else f"{start} {spread(codec)} | {ratio(mine, codec)} |"


def main():
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    program, binary, chosen, failed = sys.argv[1], sys.argv[2], sys.argv[3:], 0
    print("| syntax | file | ours ms min / median | peer | ms min / median | ratio | its codec alone | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for syntax, name, path in files(binary, Path(folder)):
            if chosen and not any(part in f"{syntax} {name}" for part in chosen):
                continue
            try:
                print(line(syntax, name, *compare(program, syntax, path)), flush=True)
            except Refused as refused:
                failed = 1
                print(f"| {syntax} | {name} | {refused} | | | | | |", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
