"""DICOM files of one CT image, byte by byte where it matters: how pixel cells lie in Pixel Data."""

import struct
import zlib

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import CTImageStorage, generate_uid

ROOT_UID = "1.2.840.10008.1.2"
IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED = "", ".1", ".2", ".1.99"


def mask(bits):
    return (1 << bits) - 1


def cells(values, bits):
    """The bits of stored values in the fewest whole bytes, without a sign: two's complement."""
    return (values & mask(bits)).astype(np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)


def signed(cells, bits, is_signed):
    """Stored values of the low `bits` of cells."""
    low = cells.astype(np.int64) & mask(bits)
    return low - ((low >> (bits - 1)) << bits) if is_signed else low


def image(bits, is_signed, rows=48, columns=64, seed=0):
    """A gradient with noise and both ends of the range, as stored values (row, column)."""
    noise = np.random.default_rng([bits, is_signed, rows, columns, seed])
    y, x = np.mgrid[:rows, :columns]
    most = mask(bits)
    ramp = (x + y) / max(1, rows + columns - 2) * most * 0.8
    values = np.clip(ramp + noise.normal(0, most / 150 + 0.5, ramp.shape), 0, most).astype(np.int64)
    values.flat[:4], values.flat[-3:] = 0, most
    return values - (1 << (bits - 1)) if is_signed else values


def smooth(bits, rows=48, columns=64):
    """An image that lossy encoders keep well away from both ends of the range."""
    noise = np.random.default_rng([bits, rows, columns])
    y, x = np.mgrid[:rows, :columns]
    values = (0.5 + 0.35 * np.sin(x / 7) * np.cos(y / 9)) * mask(bits) + noise.normal(0, mask(bits) / 200, x.shape)
    return np.clip(values, 0, mask(bits)).astype(np.int64)


def ct(path, syntax, pixel_data, shape, bits, is_signed, allocated=None, high_bit=None, vr=b"OW", attributes={}):
    """Writes a CT of `shape` (frames, rows, columns). `syntax` is a UID without its root; `pixel_data` are the
    bytes of the element, for encapsulated syntaxes the items, for native ones the cells; `attributes` what else the
    data set has."""
    frames, rows, columns = shape
    encapsulated = syntax not in (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED)
    instance = generate_uid(entropy_srcs=[str(path)])

    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = CTImageStorage, instance, "CT"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    if frames > 1:
        data.NumberOfFrames = frames
    data.Rows, data.Columns = rows, columns
    data.BitsAllocated = allocated or (8 if bits <= 8 else 16 if bits <= 16 else 32)
    data.BitsStored, data.HighBit = bits, bits - 1 if high_bit is None else high_bit
    data.PixelRepresentation = int(is_signed)
    data.RescaleIntercept, data.RescaleSlope = "0", "1"
    data.update(attributes)

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, instance
    meta.TransferSyntaxUID = ROOT_UID + syntax
    head = DicomBytesIO()
    head.is_little_endian, head.is_implicit_VR = True, False
    write_file_meta_info(head, meta, enforce_standard=False)

    body = DicomBytesIO()
    body.is_little_endian, body.is_implicit_VR = syntax != EXPLICIT_BE, syntax == IMPLICIT_LE
    write_dataset(body, data)
    order = ">" if syntax == EXPLICIT_BE else "<"
    if not encapsulated and len(pixel_data) % 2:
        pixel_data += b"\0"
    length = 0xFFFFFFFF if encapsulated else len(pixel_data)
    vr = b"OB" if encapsulated else vr
    element = struct.pack(order + "HH", 0x7FE0, 0x0010)
    element += struct.pack("<I", length) if syntax == IMPLICIT_LE else struct.pack(order + "2sHI", vr, 0, length)
    whole = body.getvalue() + element + pixel_data
    if syntax == DEFLATED:
        deflate = zlib.compressobj(wbits=-15)
        whole = deflate.compress(whole) + deflate.flush()
    path.write_bytes(b"\0" * 128 + b"DICM" + head.getvalue() + whole)


def item(content):
    """An item as it stands, also of odd length."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def encapsulated(codestreams):
    """The items of frames of one fragment each, behind an empty basic offset table."""
    return item(b"") + b"".join(item(c + b"\0" * (len(c) % 2)) for c in codestreams) + END
