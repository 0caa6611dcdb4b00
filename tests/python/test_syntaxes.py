"""Promise: every transfer syntax gives exactly the stored values, or a lossy one's within the tolerance said.

Files are made here with encoders of other projects, of every number of bits and both signs, and with the options
that archives hold. The table that comes of it is the README's; DCMSHARD_WRITE_TABLE=1 (`make table`) writes it.
"""

import itertools
import os

import numpy as np
import pytest
from pydicom.encaps import encapsulate, encapsulate_extended

import encoded
from conftest import ROOT, stored_values
from dicom_file import DEFLATED, END, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, ROOT_UID
from dicom_file import cells, ct, encapsulated, image, item
from gdcm_child import gdcm_transcode

README = ROOT / "README.md"
MARKERS = ("<!-- syntaxes -->\n", "<!-- /syntaxes -->\n")
MANIFEST = (ROOT / "Cargo.toml").read_text()
OWN, FLATE = "own", "`flate2`"
JXL = "`jxl-oxide`" if "jxl-oxide" in MANIFEST else "`jxl`"
J2K = "`openjp2`" if "openjp2" in MANIFEST else OWN

ENCAPSULATED = {
    ".1.98": ("Encapsulated uncompressed", OWN, encoded.raw_frames),
    ".8.1": ("Deflated image frames", FLATE, encoded.deflated_frames),
    ".5": ("RLE", OWN, encoded.rle_frames),
    ".4.50": ("JPEG baseline", OWN, encoded.jpeg_baseline),
    ".4.51": ("JPEG extended", OWN, encoded.jpeg_extended),
    ".4.53": ("JPEG spectral selection", OWN, encoded.jpeg_spectral),
    ".4.55": ("JPEG full progression", OWN, encoded.jpeg_progressive),
    ".4.57": ("JPEG lossless, all predictors", OWN, lambda: encoded.jpeg_lossless(range(1, 8))),
    ".4.70": ("JPEG lossless, first predictor", OWN, lambda: encoded.jpeg_lossless([1])),
    ".4.80": ("JPEG-LS lossless", OWN, encoded.jpeg_ls_lossless),
    ".4.81": ("JPEG-LS near-lossless", OWN, encoded.jpeg_ls_near),
    ".4.90": ("JPEG 2000 lossless", J2K, encoded.jpeg_2000_lossless),
    ".4.91": ("JPEG 2000", J2K, encoded.jpeg_2000),
    ".4.201": ("HTJ2K lossless", J2K, encoded.htj2k_lossless),
    ".4.202": ("HTJ2K lossless, RPCL", J2K, encoded.htj2k_lossless),
    ".4.203": ("HTJ2K", J2K, encoded.htj2k_either),
    ".4.110": ("JPEG XL lossless", JXL, encoded.jpeg_xl_lossless),
    ".4.111": ("JPEG XL, recompressed JPEG", JXL, encoded.jpeg_xl_recompressed),
    ".4.112": ("JPEG XL", JXL, encoded.jpeg_xl),
}
NATIVE = {
    IMPLICIT_LE: ("Implicit VR little endian", OWN),
    EXPLICIT_LE: ("Explicit VR little endian", OWN),
    EXPLICIT_BE: ("Explicit VR big endian", OWN),
    DEFLATED: ("Deflated explicit VR little endian", FLATE),
}
# images that DICOM has and this program refuses: several components are one, which CT has not
WITHOUT = {".4.92": ("JPEG 2000 Part 2 lossless", "none"), ".4.93": ("JPEG 2000 Part 2", "none")}
# what a syntax cannot say (syntax, sign): nothing in a JPEG XL codestream tells how a lossy encoder lost the sign
REFUSED = {(".4.112", True): "pixel_format"}
NAMES = NATIVE | {syntax: entry[:2] for syntax, entry in ENCAPSULATED.items()} | WITHOUT


class Found:
    """What a file was made of, and what came out of it."""

    def __init__(self, syntax, coded):
        self.syntax, self.what, self.tolerance = syntax, coded.what, coded.tolerance
        self.bits, self.is_signed = coded.bits, coded.is_signed
        # (frame, row, column)
        self.values = coded.values.reshape(-1, *coded.values.shape[-2:])
        self.found = None

    def error(self):
        """None, or what is wrong."""
        reason = REFUSED.get((self.syntax, self.is_signed))
        if reason:
            return None if isinstance(self.found, str) and self.found.startswith(reason) else f"expected {reason}"
        if isinstance(self.found, str):
            return self.found
        if self.found.shape != self.values.shape:
            return f"shape {self.found.shape}, expected {self.values.shape}"
        # a lossy step may carry a value over an end of the range, where it goes on at the other
        turn = 1 << self.bits
        difference = (self.found.astype(np.int64) - self.values) % turn if self.tolerance else self.found - self.values
        difference = np.minimum(difference, turn - difference) if self.tolerance else np.abs(difference)
        return f"differs by {difference.max()}" if difference.max() > self.tolerance else None

    def __str__(self):
        return f"{'signed' if self.is_signed else 'unsigned'} {self.bits} bits, {self.what}: {self.error()}"


def native_files():
    """(syntax, what is in it, options of the file)"""
    for syntax in NATIVE:
        order = ">" if syntax == EXPLICIT_BE else "<"
        for coded in encoded.raw_frames(lambda frame: frame):
            raw = cells(coded.values, coded.bits)
            content = raw.astype(raw.dtype.newbyteorder(order)).tobytes()
            vr = "OB" if coded.bits <= 8 else "OW"
            if syntax == EXPLICIT_BE and coded.bits == 32:
                # in words: of each value the low word comes first, the high byte of each word first (PS3.5 A.3)
                content = raw.astype("<u4").view("<u2").astype(">u2").tobytes()
            yield syntax, coded._replace(frame=content), {"vr": vr}
            if syntax == EXPLICIT_BE and coded.bits <= 8:
                words = (content + b"\0" * (len(content) % 2))
                swapped = np.frombuffer(words, "<u2").astype(">u2").tobytes()
                yield syntax, coded._replace(what=f"OW {coded.what}", frame=swapped), {"vr": "OW"}
            if 8 < coded.bits < 16:
                for what, raw, options in overlays(coded.values, coded.bits):
                    content = raw.astype(raw.dtype.newbyteorder(order)).tobytes()
                    yield syntax, coded._replace(what=what, frame=content), options
        three = np.stack([image(12, True, 9, 7, seed) for seed in range(3)])
        raw = cells(three, 12)
        content = raw.astype(raw.dtype.newbyteorder(order)).tobytes()
        yield syntax, encoded.Coded("3 frames", 12, True, content, three), {}


def overlays(values, bits):
    """The same values with other bits above them, as overlays have it, and at the top of their cells."""
    around = np.random.default_rng(bits).integers(0, 1 << 16, values.shape)
    low = values & ((1 << bits) - 1)
    yield "bits above", (around << bits & 0xFFFF | low).astype(np.uint16), {}
    yield "at the top", (low << (16 - bits)).astype(np.uint16), {"high_bit": 15}


def fragment_files():
    """(syntax, what is in it, options of the file): how frames can lie in fragments."""
    values = np.stack([image(12, True, 33, 17, seed) for seed in range(3)])
    encoders = {
        ".4.70": lambda v: encoded.jpeg_lossless_frame(cells(v, 12), 12, 1),
        ".4.80": lambda v: encoded.jpeg_ls_frame(cells(v, 12), 12)[0],
        ".4.90": lambda v: encoded.j2k(encoded.samples(v, 12), 12)[0],
    }
    for syntax, encode in encoders.items():
        frames = [encode(frame) for frame in values]
        items, offsets, lengths = encapsulate_extended(frames)
        forms = [
            ("a fragment a frame, full table", encapsulate(frames) + END, {}),
            ("a fragment a frame, empty table", encapsulate(frames, has_bot=False) + END, {}),
            ("a fragment a frame, extended table", items + END, {"offsets": (offsets, lengths)}),
            ("four fragments a frame, full table", encapsulate(frames, fragments_per_frame=4) + END, {}),
        ]
        for what, items, options in forms:
            yield syntax, encoded.Coded(what, 12, True, items, values), options
        one, odd = frames[0], frames[0] + b"\0" * (1 - len(frames[0]) % 2)
        forms = [
            ("a frame in four fragments", encapsulate([one], fragments_per_frame=4, has_bot=False) + END),
            ("a frame in four fragments, full table", encapsulate([one], fragments_per_frame=4) + END),
            ("fragments of odd length", item(b"") + item(one[:51]) + item(one[51:]) + END),
            ("a frame of odd length", item(b"") + item(odd) + END),
            ("no delimiter", encapsulate([one])),
        ]
        for what, items in forms:
            yield syntax, encoded.Coded(what, 12, True, items, values[:1]), {}


def packed_overlays():
    """Syntaxes that pack whole cells keep the bits around the values."""
    for syntax, pack in ((".1.98", bytes), (".8.1", encoded.raw_deflate)):
        values = image(12, True)
        for what, raw, options in overlays(values, 12):
            yield syntax, encoded.Coded(what, 12, True, encapsulated([pack(raw.tobytes())]), values), options


def encoded_files():
    for syntax, (_, _, encode) in ENCAPSULATED.items():
        for coded in encode():
            yield syntax, coded._replace(frame=encapsulated([coded.frame])), {}
    # 8 bits in cells of 16
    for syntax in (".4.50", ".4.70", ".4.80", ".4.90", ".4.201", ".4.110"):
        coded = next(ENCAPSULATED[syntax][2]())
        options = {"allocated": 16}
        yield syntax, coded._replace(what="in 16 bits", frame=encapsulated([coded.frame])), options
    # a name, and no decoder
    for syntax in WITHOUT:
        (frame, _), values = encoded.j2k(image(8, False).astype(np.uint8), 8), image(8, False)
        yield syntax, encoded.Coded("", 8, False, encapsulated([frame]), values), {}


GDCM = {
    EXPLICIT_BE: "ExplicitVRBigEndian",
    DEFLATED: "DeflatedExplicitVRLittleEndian",
    ".5": "RLELossless",
    ".4.57": "JPEGLosslessProcess14",
    ".4.70": "JPEGLosslessProcess14_1",
    ".4.80": "JPEGLSLossless",
    ".4.90": "JPEG2000Lossless",
}


def gdcm_files(folder):
    """(syntax, what is in it, path): whole files that GDCM wrote."""
    made, triples = [], []
    for bits, is_signed in itertools.product((8, 12, 16), (False, True)):
        values = image(bits, is_signed)
        source = folder / f"{bits}-{is_signed}.dcm"
        ct(source, EXPLICIT_LE, cells(values, bits).tobytes(), (1, *values.shape), bits, is_signed)
        for syntax, name in GDCM.items():
            target = folder / f"{bits}-{is_signed}-{name}.dcm"
            triples.append((source, name, target))
            made.append((syntax, encoded.Coded("written by GDCM", bits, is_signed, b"", values), target))
    gdcm_transcode(triples)
    return made


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Of every syntax what was found in each of its files. All files go through the program at once."""
    folder, every, paths = tmp_path_factory.mktemp("syntaxes"), [], []
    for files in (native_files(), encoded_files(), fragment_files(), packed_overlays()):
        for syntax, coded, options in files:
            path = folder / f"{len(paths):05}.dcm"
            frame = Found(syntax, coded)
            ct(path, syntax, coded.frame, frame.values.shape, coded.bits, coded.is_signed, **options)
            paths.append(path)
            every.append(frame)
    for syntax, coded, path in gdcm_files(folder):
        paths.append(path)
        every.append(Found(syntax, coded))
    for frame, values in zip(every, stored_values(paths), strict=True):
        frame.found = values
    return {syntax: [frame for frame in every if frame.syntax == syntax] for syntax in NAMES}


@pytest.mark.parametrize("syntax", [*NATIVE, *ENCAPSULATED])
def test_stored_values(syntax, found):
    wrong = [str(frame) for frame in found[syntax] if frame.error()]
    assert not wrong, f"{len(wrong)} of {len(found[syntax])} files:\n" + "\n".join(wrong)


@pytest.mark.parametrize("syntax", WITHOUT)
def test_a_syntax_without_a_decoder_is_named(syntax, found):
    (frame,) = found[syntax]
    assert isinstance(frame.found, str) and frame.found.startswith("transfer_syntax: "), frame.found
    assert ROOT_UID + syntax in frame.found


def test_bits_below_the_values_are_refused(tmp_path):
    """Where High Bit says that values lie higher than their bits do, either may be wrong."""
    values, path = image(12, False), tmp_path / "below.dcm"
    ct(path, ".1", values.astype("<u2").tobytes(), (1, *values.shape), 12, False, high_bit=15)
    (fault,) = stored_values([path])
    assert isinstance(fault, str) and fault.startswith("image_geometry: ")


def test_compressed_samples_of_more_than_16_bits_are_refused(tmp_path):
    values = image(20, False)
    frame, _ = encoded.j2k(values.astype(np.uint32), 20)
    path = tmp_path / "20-bits.dcm"
    ct(path, ".4.90", encapsulated([frame]), (1, *values.shape), 20, False)
    (fault,) = stored_values([path])
    assert isinstance(fault, str) and fault.startswith("pixel_format: ")


# --- the table


def numbers(bits):
    """8, 10, 11, 12 as "8, 10 to 12"."""
    runs = []
    for bit in sorted(bits):
        if runs and bit == runs[-1][-1] + 1:
            runs[-1].append(bit)
        else:
            runs.append([bit])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def cell(syntax, frames):
    """What is true of files of one sign: the bits that are exact, and those within a tolerance."""
    if not frames or syntax in WITHOUT or (syntax, frames[0].is_signed) in REFUSED:
        return "not supported"
    tolerances = {}
    for frame in frames:
        tolerances.setdefault(frame.bits, []).append(None if frame.error() else frame.tolerance)
    results = {}
    for bits, of_bits in tolerances.items():
        result = "WRONG" if None in of_bits else "exact" if max(of_bits) == 0 else f"±{max(of_bits)}"
        results.setdefault(result, []).append(bits)
    return "; ".join(f"{numbers(bits)} {result}" for result, bits in results.items())


def table(found):
    lines = ["| transfer syntax | UID | unsigned | signed | decoder |", "|---|---|---|---|---|"]
    for syntax, (name, decoder) in NAMES.items():
        signs = [[frame for frame in found[syntax] if frame.is_signed == sign] for sign in (False, True)]
        results = [cell(syntax, frames) for frames in signs]
        lines.append(f"| {name} | {syntax and f'`{syntax}`'} | {results[0]} | {results[1]} | {decoder} |")
    return "\n".join(lines) + "\n"


def test_the_readme_has_this_table(found):
    text, made = README.read_text(), table(found)
    print(made)
    before, rest = text.split(MARKERS[0])
    stands, after = rest.split(MARKERS[1])
    if os.environ.get("DCMSHARD_WRITE_TABLE"):
        README.write_text(before + MARKERS[0] + "\n" + made + "\n" + MARKERS[1] + after)
    else:
        assert stands.strip() == made.strip(), "`make table` writes it"
