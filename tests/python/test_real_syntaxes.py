"""Promise: on real files the stored values are those of pydicom (each plugin), GDCM, libjpeg-turbo and libjxl.

Needs ../shared/data, which stands beside a developer's checkout; where it does not, these tests are skipped.
"""

from functools import partial

import numpy as np
import pyarrow.dataset as pads
import pydicom
import pytest
from imagecodecs import jpeg8_decode, jpegxl_decode
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder

from conftest import ROOT, run, stored_values
from gdcm_child import gdcm_values

DATA = ROOT.parent / "shared" / "data"
FILES = sorted(path for folder in ("syntax", "hard") for path in (DATA / folder).rglob("*") if path.is_file())
ROOT_UID = "1.2.840.10008.1.2"

pytestmark = [
    pytest.mark.skipif(not FILES, reason="../shared/data is not here"),
    pytest.mark.filterwarnings("ignore"),
]

# Single-channel images that another program reads and this one refuses, and why that is right.
REFUSED = {
    # Number of Frames is "1A"
    "hard/bad-vr.dcm": "image_geometry",
    # GDCM fills what is missing
    "hard/derived/short-pixel-data.dcm": "pixel_length",
    # 64 bytes behind the last frame: which bytes are pixels would be a guess
    "hard/trailing-padding.dcm": "pixel_length",
    # segmentations, one bit a pixel
    "hard/one-bit-seg.dcm": "pixel_format",
    "syntax/deflated-frames-seg.dcm": "pixel_format",
}
# Another program that is wrong about a file.
WRONG = {
    # the codestream is unsigned, the data set signed: GDCM believes the codestream
    ("GDCM", "hard/head-j2k-sign-mismatch-tilt.dcm"),
    # neither looks at High Bit, which is 15 of 12 bits stored
    ("pydicom", "hard/derived/odd-high-bit.dcm"),
    ("GDCM", "hard/derived/odd-high-bit.dcm"),
}
# Its 65535 rows and columns are 8 GB to GDCM.
NOT_FOR_GDCM = "hard/derived/huge-rows-columns.dcm"


def tolerance(program, syntax):
    """Units of the stored values; 0 where the encoding is lossless, or its decoding leaves nothing open."""
    if syntax in (".4.50", ".4.51", ".4.53", ".4.55"):
        # the inverse DCT of pylibjpeg is another than that of the others, which are of one family
        return 2 if program == "pylibjpeg" else 1
    return 1 if syntax in (".4.91", ".4.203", ".4.112") else 0


def frames_of(data, decode):
    count = int(data.get("NumberOfFrames", 1) or 1)
    return np.stack([decode(frame) for frame in generate_frames(data.PixelData, number_of_frames=count)])


def pydicom_values(decoder, data, plugin):
    return decoder.as_array(data, decoding_plugin=plugin, raw=True)[0]


def references(syntax, data):
    """(program, what gives its values) of every program that knows the syntax, but GDCM's own reader."""
    try:
        decoder = get_decoder(ROOT_UID + syntax)
    except NotImplementedError:
        decoder = None
    for plugin in (decoder.available_plugins or ("",)) if decoder else ():
        yield plugin or "pydicom", partial(pydicom_values, decoder, data, plugin)
    if syntax in (".4.50", ".4.51", ".4.53", ".4.55", ".4.57", ".4.70"):
        yield "libjpeg-turbo", lambda: frames_of(data, jpeg8_decode)
    if syntax in (".4.110", ".4.111", ".4.112"):
        yield "libjxl", lambda: frames_of(data, lambda frame: jpegxl_decode(frame, numthreads=1))


@pytest.fixture(scope="module")
def ours():
    return dict(zip(FILES, stored_values(FILES)))


@pytest.fixture(scope="module")
def theirs():
    """What GDCM's own reader finds in each file."""
    files = [path for path in FILES if not path.match(NOT_FOR_GDCM)]
    return dict(zip(files, gdcm_values(files)))


def stored(found, data):
    """Values of another program as this one has them: low bits with their sign, MONOCHROME1 turned; int64."""
    bits, is_signed = data.BitsStored, data.PixelRepresentation
    values = found.astype(np.int64) & ((1 << bits) - 1)
    values -= (values >> (bits - 1) << bits) if is_signed else 0
    if data.PhotometricInterpretation == "MONOCHROME1":
        return -values - 1 if is_signed else (1 << bits) - 1 - values
    return values


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(DATA).as_posix())
def test_stored_values(path, ours, theirs):
    name = path.relative_to(DATA).as_posix()
    try:
        data = pydicom.dcmread(path, force=True)
    except OSError:
        data = pydicom.Dataset()
    syntax = data.file_meta.get("TransferSyntaxUID", "?").removeprefix(ROOT_UID) if "file_meta" in dir(data) else "?"
    if data.get("SamplesPerPixel") != 1 or "PixelData" not in data:
        pytest.skip("not an image of one channel, to pydicom")
    found, compared = ours[path], 0
    for program, decode in (*references(syntax, data), ("GDCM", lambda: theirs.get(path))):
        try:
            reference = decode()
        except Exception:
            continue
        if reference is None or (program, name) in WRONG:
            continue
        if isinstance(found, str):
            assert found.split(":")[0] == REFUSED.get(name), f"{program} decodes it; here {found}"
            continue
        reference = stored(reference, data).reshape(found.shape)
        most = np.abs(found - reference).max()
        print(f"{name}: {program} differs by {most}")
        assert most <= tolerance(program, syntax), f"{program} differs by {most}"
        compared += 1
    if not compared and not isinstance(found, str):
        pytest.skip("no other program decodes it")


# --- the same slice in many encodings, converted

HU = ["denoise.enabled=false", "tilt.enabled=false", "crop_pad.crop=false"]
# the most by which the HU of lossy ones differ from the uncompressed slice
LOSSY = {
    "chest-slice/jpeg-baseline-50.dcm": 64,
    "chest-slice/jpeg-extended-51.dcm": 36,
    "chest-slice/jpeg-spectral-53.dcm": 36,
    "chest-slice/jpeg-progressive-55.dcm": 36,
    "chest-slice/jpeg-ls-near-lossless-81.dcm": 1,
    "chest-slice/jpeg2000-lossy-91.dcm": 5,
    "wg04-ct1/jpeg-ls-near-lossless-81.dcm": 4,
    "wg04-ct1/jpeg2000-lossy-91.dcm": 352,
}


def hu(path, out):
    """The slice's row, recipe `head-hu` without anything that moves or masks a pixel."""
    run("convert", path, "--out", out, "--recipe", "head-hu", *(part for key in HU for part in ("--set", key)))
    (row,) = pads.dataset(out / "data", format="parquet").to_table(columns=["image", "image_shape"]).to_pylist()
    return np.frombuffer(row["image"], "<i2").reshape(row["image_shape"]).astype(int)


@pytest.mark.parametrize("folder, count", [("chest-slice", 15), ("wg04-ct1", 7)])
def test_encodings_of_one_slice(folder, count, tmp_path):
    paths = sorted((DATA / "syntax" / folder).glob("*.dcm"))
    assert len(paths) == count
    whole = hu(DATA / "syntax" / folder / "explicit-le.dcm", tmp_path / "whole")
    wrong = []
    for path in paths:
        most = np.abs(hu(path, tmp_path / path.stem) - whole).max()
        print(f"{folder}/{path.name}: differs by {most} HU")
        if most > LOSSY.get(f"{folder}/{path.name}", 0):
            wrong.append(f"{path.name} by {most} HU")
    assert not wrong
