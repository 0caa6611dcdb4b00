"""Codestreams by real encoders: libjpeg-turbo, CharLS, OpenJPEG, OpenJPH, libjxl, pydicom and pylibjpeg.

For each transfer syntax a function yields `Coded`: what it is, the frame's bytes, the stored values that a right
decoder finds in them. Where the encoding is lossless these are the encoder's input; else they come from the
reference decoder (that of the same library).
"""

import io
import warnings
import zlib
from typing import NamedTuple

import imagecodecs
import jpeg_ls
import numpy as np
import openjpeg.utils
import rle
from PIL import Image
from pydicom.pixels import get_encoder
from pydicom.uid import RLELossless
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from dicom_file import cells, image, patterns, signed, smooth
from jpeg_progression import progressive

BITS = tuple(range(8, 17))
SHAPES = ((1, 37), (37, 1), (1, 1), (33, 17), (64, 100))


def wavelet_rounding(bits):
    """How far a right decoder of the 9-7 wavelet may be from OpenJPEG, whose filter's gain is out by 3 in 65536."""
    return max(1, 1 << bits >> 14)


class Coded(NamedTuple):
    what: str
    bits: int
    is_signed: bool
    frame: bytes
    values: np.ndarray
    # how far a right decoder may be from `values`
    tolerance: int = 0


def images(bits=BITS, shapes=SHAPES):
    """(bits, sign, values): every kind of sample, every shape, and what is hard to code."""
    for b in bits:
        for is_signed in (False, True):
            yield b, is_signed, image(b, is_signed)
    for shape in shapes:
        yield 12, True, image(12, True, *shape)
    for b, is_signed in ((8, False), (12, True), (16, False), (16, True)):
        for _, values in patterns(b, is_signed):
            yield b, is_signed, values


def lossless(what, bits, is_signed, values, frame, decoded):
    """A frame that the encoder's own decoder turns back into its input: else it is the encoder that fails."""
    assert np.array_equal(signed(np.asarray(decoded).reshape(values.shape), bits, is_signed), values), what
    return Coded(what, bits, is_signed, bytes(frame), values)


def lossy(what, bits, is_signed, frame, decoded, tolerance):
    return Coded(what, bits, is_signed, bytes(frame), signed(np.asarray(decoded), bits, is_signed), tolerance)


# --- run lengths, deflate, nothing at all


def rle_frame(values, bits):
    """Packed by pylibjpeg, cells sign extended."""
    rows, columns = values.shape
    size = cells(values, bits).dtype.itemsize * 8
    form = {"rows": rows, "columns": columns, "samples_per_pixel": 1, "bits_allocated": size}
    return bytes(rle.encode_pixel_data(cells(values, size).tobytes(), byteorder="<", **form))


def rle_frames():
    """Signed cells once with zeros above Bits Stored, once sign extended."""
    for bits, sign, values in images(bits=(*BITS, 32)):
        values = values >> (bits == 32 and not sign)
        rows, columns = values.shape
        raw = cells(values, bits)
        size = raw.dtype.itemsize * 8
        yield Coded(f"pylibjpeg {values.shape}", bits, sign, rle_frame(values, bits), values)
        if size < 32:
            form = {"rows": rows, "columns": columns, "samples_per_pixel": 1, "bits_allocated": size}
            form |= {"bits_stored": size, "pixel_representation": 0, "photometric_interpretation": "MONOCHROME2"}
            frame = get_encoder(RLELossless).encode(raw, encoding_plugin="pydicom", number_of_frames=1, **form)
            yield Coded(f"pydicom {values.shape}", bits, sign, frame, values)


def raw_frames(pack=bytes):
    for bits, sign, values in images(bits=(*BITS, 32)):
        values = values >> (bits == 32 and not sign)
        yield Coded(f"{values.shape}", bits, sign, pack(cells(values, bits).tobytes()), values)


def raw_deflate(content):
    """RFC 1951, without a header."""
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(content) + deflate.flush()


def deflated_frames():
    yield from raw_frames(raw_deflate)


# --- JPEG


def grey_jpeg(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


def dct_sources(bits):
    for shape in ((48, 64), (1, 37), (37, 1), (33, 17), (64, 100)):
        yield f"{shape}", smooth(bits, *shape).astype(np.uint8 if bits == 8 else np.uint16)
    # with the ends of the range, where a decoder must not run over
    yield "full range", cells(image(bits, False), bits)


def dct(bits, tolerance=1, change=lambda frame: frame):
    """`tolerance`: T.81 leaves the rounding of the inverse DCT open."""
    for sign in (False, True):
        for what, pixels in dct_sources(bits):
            for quality in (75, 95):
                frame = change(bytes(imagecodecs.jpeg8_encode(pixels, quality, bitspersample=bits)))
                decoded = imagecodecs.jpeg8_decode(frame)
                yield lossy(f"{what} quality {quality}", bits, sign, frame, decoded, tolerance)


def jpeg_baseline():
    yield from dct(8)
    pixels = cells(image(8, False), 8)
    for options in ({"restart_marker_blocks": 3}, {"restart_marker_rows": 1}, {"optimize": True}):
        frame = grey_jpeg(pixels, quality=90, **options)
        yield lossy(f"{options}", 8, False, frame, imagecodecs.jpeg8_decode(frame), 1)


def jpeg_extended():
    yield from dct(8)
    yield from dct(12)


def jpeg_spectral():
    yield from dct(8, change=lambda frame: progressive(frame, False))
    yield from dct(12, change=lambda frame: progressive(frame, False))


def jpeg_progressive():
    yield from dct(8, change=lambda frame: progressive(frame, True))
    yield from dct(12, change=lambda frame: progressive(frame, True))
    for what, pixels in dct_sources(8):
        frame = grey_jpeg(pixels, quality=90, progressive=True)
        yield lossy(f"libjpeg's script {what}", 8, False, frame, imagecodecs.jpeg8_decode(frame), 1)


def jpeg_lossless_frame(raw, bits, predictor):
    return bytes(imagecodecs.jpeg8_encode(raw, lossless=True, predictor=predictor, bitspersample=bits))


def jpeg_lossless(predictors):
    for bits, sign, values in images():
        raw = cells(values, bits)
        for predictor in predictors:
            frame = jpeg_lossless_frame(raw, bits, predictor)
            what = f"predictor {predictor} {raw.shape}"
            yield lossless(what, bits, sign, values, frame, imagecodecs.jpeg8_decode(frame))
        if 6 in predictors and min(raw.shape) > 1:
            frame = imagecodecs.ljpeg_encode(raw, bitspersample=bits)
            yield lossless(f"liblj92 {raw.shape}", bits, sign, values, frame, imagecodecs.ljpeg_decode(frame))
        if sign and 8 < bits < 16:
            # as encoders write that do not look at Bits Stored: sign extended to 16 bits
            raw = cells(values, 16)
            frame = jpeg_lossless_frame(raw, 16, predictors[0])
            yield lossless("16 bit samples", bits, sign, values, frame, imagecodecs.jpeg8_decode(frame))


# --- JPEG-LS


def jpeg_ls_frame(raw, bits, near=0):
    rows, columns = raw.shape
    if raw.size == 1:
        # pyjpegls sets aside too little for it
        frame = imagecodecs.jpegls_encode(raw, near)
    else:
        frame = jpeg_ls.encode_buffer(raw.tobytes(), rows, columns, 1, bits, near)
    return bytes(frame), imagecodecs.jpegls_decode(bytes(frame))


def jpeg_ls_lossless():
    for bits, sign, values in images():
        raw = cells(values, bits)
        frame, decoded = jpeg_ls_frame(raw, bits)
        yield lossless(f"{raw.shape}", bits, sign, values, frame, decoded)
        if 8 < bits < 16:
            frame = imagecodecs.jpegls_encode(cells(values, 16))
            decoded = imagecodecs.jpegls_decode(frame)
            yield lossless("16 bit samples", bits, sign, values, frame, decoded)
    flat = np.full((48, 64), 1000)
    yield lossless("flat", 12, False, flat, *jpeg_ls_frame(cells(flat, 12), 12))


def jpeg_ls_near():
    """T.87 leaves nothing open: what CharLS decodes is right to the bit."""
    for bits, sign, values in images(shapes=((1, 37), (37, 1), (33, 17))):
        for near in (1, 2, 3, 5):
            raw = cells(values, bits)
            frame, decoded = jpeg_ls_frame(raw, bits, near)
            assert np.abs(decoded.astype(int) - raw).max() <= near
            yield lossy(f"near {near} {raw.shape}", bits, sign, frame, decoded, 0)
    for bits, sign, values in images(shapes=()):
        frame, decoded = jpeg_ls_frame(cells(values, bits), bits)
        yield lossless("near 0", bits, sign, values, frame, decoded)


# --- JPEG 2000


def samples(values, bits):
    """Values in the type that an encoder takes the sign from."""
    unsigned = values.min() >= 0
    if bits <= 8:
        return values.astype(np.uint8 if unsigned else np.int8)
    return values.astype(np.uint16 if unsigned else np.int16)


def j2k(pixels, bits, **options):
    options = {"level": 0, "reversible": True, "codecformat": "j2k", "bitspersample": bits, "numthreads": 1} | options
    frame = imagecodecs.jpeg2k_encode(pixels, **options)
    return bytes(frame), imagecodecs.jpeg2k_decode(frame, numthreads=1)


def gdal_j2k(pixels, **options):
    rows, columns = pixels.shape
    shape = {"width": columns, "height": rows, "count": 1, "dtype": pixels.dtype.name}
    with warnings.catch_warnings(), MemoryFile(ext=".j2k") as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        options = {"CODEC": "J2K", "REVERSIBLE": "YES", "QUALITY": "100"} | options
        with memory.open(driver="JP2OpenJPEG", **shape, **options) as file:
            file.write(pixels, 1)
        frame = memory.read()
    return frame, imagecodecs.jpeg2k_decode(frame, numthreads=1)


STYLES = ("BYPASS", "RESET", "TERMALL", "VSC", "PREDICTABLE", "SEGSYM", "63")
J2K_OPTIONS = [
    *({"CODEBLOCK_STYLE": style} for style in STYLES),
    *({"PROGRESSION": order} for order in ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL")),
    {"SOP": "YES", "EPH": "YES"},
    {"BLOCKXSIZE": "64", "BLOCKYSIZE": "32", "TLM": "YES", "PLT": "YES"},
    {"BLOCKXSIZE": "48", "BLOCKYSIZE": "48", "PROGRESSION": "RPCL", "PRECINCTS": "{16,16},{8,8}"},
    {"PRECINCTS": "{32,32},{16,16}", "PROGRESSION": "CPRL"},
    {"CODEBLOCK_WIDTH": "4", "CODEBLOCK_HEIGHT": "256"},
    {"CODEBLOCK_WIDTH": "1024", "CODEBLOCK_HEIGHT": "4"},
    {"RESOLUTIONS": "1"},
    {"RESOLUTIONS": "8"},
]


def jpeg_2000_lossless():
    for bits, sign, values in images():
        what = f"{values.shape}"
        yield lossless(what, bits, sign, values, *j2k(samples(values, bits), bits))
        if sign:
            # the codestream says unsigned, the data set signed: so some archives have it
            yield lossless(f"unsigned {what}", bits, sign, values, *j2k(cells(values, bits), bits))
    for options in J2K_OPTIONS:
        for sign in (False, True):
            values = image(12, sign, 70, 90)
            pixels = samples(values, 12)
            yield lossless(f"{options}", 12, sign, values, *gdal_j2k(pixels, NBITS="12", **options))
    values = image(12, True)
    yield lossless("in JP2 boxes", 12, True, values, *j2k(samples(values, 12), 12, codecformat="jp2"))
    values = image(8, False)
    file = io.BytesIO()
    layers = {"quality_mode": "rates", "quality_layers": [20, 5, 1], "progression": "RLCP"}
    Image.fromarray(values.astype(np.uint8)).save(file, "JPEG2000", no_jp2=True, **layers)
    frame = file.getvalue()
    yield lossless("layers", 8, False, values, frame, imagecodecs.jpeg2k_decode(frame))


def jpeg_2000():
    """The 9-7 wavelet is in floating point, and its rounding open (T.800 F.3.8, G.1.2)."""
    for bits, sign, values in images():
        yield lossless(f"5-3 {values.shape}", bits, sign, values, *j2k(samples(values, bits), bits))
        pixels = samples(values, bits)
        for level in (40, 60):
            frame, decoded = j2k(pixels, bits, level=level, reversible=False)
            yield lossy(f"9-7, {level} dB, {values.shape}", bits, sign, frame, decoded, wavelet_rounding(bits))
    for bits, sign in ((8, False), (12, False), (12, True), (16, True)):
        pixels = samples(image(bits, sign, 70, 90), bits)
        for ratios in ([10], [40, 20, 8]):
            frame = openjpeg.utils.encode_array(pixels, bits_stored=bits, compression_ratios=ratios)
            decoded = imagecodecs.jpeg2k_decode(frame, numthreads=1)
            yield lossy(f"9-7, 1 to {ratios}", bits, sign, frame, decoded, wavelet_rounding(bits))
        for options in ({"CODEBLOCK_STYLE": "63"}, {"BLOCKXSIZE": "64", "BLOCKYSIZE": "32"}, {"PROGRESSION": "PCRL"}):
            frame, decoded = gdal_j2k(pixels, **{"REVERSIBLE": "NO", "QUALITY": "25"} | options)
            yield lossy(f"9-7 {options}", bits, sign, frame, decoded, wavelet_rounding(bits))
            # the 5-3 wavelet, cut off where the bytes were enough
            frame, decoded = gdal_j2k(pixels, **{"QUALITY": "25"} | options)
            yield lossy(f"5-3 cut {options}", bits, sign, frame, decoded, wavelet_rounding(bits))


# --- high-throughput JPEG 2000


def htj2k(pixels, **options):
    frame = imagecodecs.htj2k_encode(pixels, **options)
    return bytes(frame), imagecodecs.htj2k_decode(frame)


HT_OPTIONS = ({"resolutions": 1}, {"resolutions": 7}, {"tile": (32, 16), "tlm": True}, {"tile": (50, 50), "tilepart": 1})


def htj2k_lossless():
    """Samples are of 8 or 16 bits, whatever Bits Stored is: OpenJPH's binding knows no others."""
    for bits, sign, values in images():
        yield lossless(f"{values.shape}", bits, sign, values, *htj2k(samples(values, bits), reversible=True))
    for options in HT_OPTIONS:
        values = image(12, True, 70, 90)
        yield lossless(f"{options}", 12, True, values, *htj2k(samples(values, 12), reversible=True, **options))


def htj2k_either():
    yield from htj2k_lossless()
    for bits, sign, _ in images(shapes=()):
        centre = 1 << (bits - 1) if sign else 0
        for level in (0.0005, 0.005):
            frame, decoded = htj2k(samples(smooth(bits) - centre, bits), level=level, reversible=False)
            yield lossy(f"9-7, step {level}", bits, sign, frame, decoded, wavelet_rounding(bits))


# --- JPEG XL


def jpeg_xl_frame(pixels, bits, **options):
    frame = imagecodecs.jpegxl_encode(pixels, bitspersample=bits, numthreads=1, **options)
    return bytes(frame), imagecodecs.jpegxl_decode(frame, numthreads=1)


def jpeg_xl_lossless():
    for bits, sign, values in images():
        raw = cells(values, bits)
        for effort in (1, 3, 7) if bits in (8, 12, 16) else (3,):
            frame, decoded = jpeg_xl_frame(raw, bits, lossless=True, effort=effort)
            yield lossless(f"effort {effort} {raw.shape}", bits, sign, values, frame, decoded)
    values = image(12, False, 270, 50)
    for options in ({"usecontainer": True}, {"decodingspeed": 4}):
        frame, decoded = jpeg_xl_frame(cells(values, 12), 12, lossless=True, **options)
        yield lossless(f"{options}", 12, False, values, frame, decoded)


def jpeg_xl_recompressed():
    """libjxl and the decoders of JPEG round differently."""
    for sign in (False, True):
        for what, pixels in dct_sources(8):
            jpeg = imagecodecs.jpeg8_encode(pixels, 90)
            for container in (False, True):
                frame = bytes(imagecodecs.jpegxl_encode_jpeg(jpeg, usecontainer=container))
                decoded = imagecodecs.jpegxl_decode(frame, numthreads=1)
                yield lossy(f"{what} container {container}", 8, sign, frame, decoded, 1)


def jpeg_xl():
    """Lossy, unsigned only: the codestream has no signed samples, and of two's complement a lossy step leaves nothing.

    One row by itself: gaborish goes over its own edges there.
    """
    yield from jpeg_xl_lossless()
    sources = [(bits, values) for bits in BITS for values in (smooth(bits), image(bits, False, 70, 90))]
    sources += [(12, smooth(12, *shape)) for shape in ((1, 37), (37, 1), (257, 9))]
    for bits, values in sources:
        for distance in (0.5, 2.0):
            frame, decoded = jpeg_xl_frame(cells(values, bits), bits, distance=distance)
            what = f"{values.shape} up to {values.max()}, distance {distance}"
            yield lossy(what, bits, False, frame, decoded, 1 if bits < 16 else 2)
