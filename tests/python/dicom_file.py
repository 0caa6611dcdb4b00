"""DICOM files of one CT image, byte by byte where it matters: how pixel cells lie in Pixel Data."""

import struct
import uuid
import zlib

import numpy as np

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
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


def lowest(bits, is_signed):
    """How far the range of signed values begins below 0."""
    return 1 << (bits - 1) if is_signed else 0


def image(bits, is_signed, rows=48, columns=64, seed=0):
    """A gradient with noise and both ends of the range, as stored values (row, column)."""
    noise = np.random.default_rng([bits, is_signed, rows, columns, seed])
    y, x = np.mgrid[:rows, :columns]
    most = mask(bits)
    ramp = (x + y) / max(1, rows + columns - 2) * most * 0.8
    values = np.clip(ramp + noise.normal(0, most / 150 + 0.5, ramp.shape), 0, most).astype(np.int64)
    values.flat[:4], values.flat[-3:] = 0, most
    return values - lowest(bits, is_signed)


def patterns(bits, is_signed, rows=29, columns=43):
    """What is hard for one coder or another, by name: noise, one value, a chessboard, points, stripes."""
    noise, most = np.random.default_rng([bits, is_signed]), mask(bits)
    yield "noise", noise.integers(0, most, (rows, columns), endpoint=True) - lowest(bits, is_signed)
    yield "flat", np.full((rows, columns), most // 3) - lowest(bits, is_signed)
    yield "chessboard", np.indices((rows, columns)).sum(0) % 2 * most - lowest(bits, is_signed)
    yield "points", np.where(noise.random((rows, columns)) < 0.02, most, 0) - lowest(bits, is_signed)
    stripes = noise.integers(0, most, (rows, 1), endpoint=True)
    yield "stripes", np.repeat(stripes, columns, 1) - lowest(bits, is_signed)


def smooth(bits, rows=48, columns=64):
    """An image that lossy encoders keep well away from both ends of the range."""
    noise = np.random.default_rng([bits, rows, columns])
    y, x = np.mgrid[:rows, :columns]
    values = (0.5 + 0.35 * np.sin(x / 7) * np.cos(y / 9)) * mask(bits) + noise.normal(0, mask(bits) / 200, x.shape)
    return np.clip(values, 0, mask(bits)).astype(np.int64)


def element(tag, vr, value, order="<", implicit=False):
    """A data element; a text is padded, a number is of 16 bits."""
    if isinstance(value, int):
        value = struct.pack(order + "H", value)
    elif isinstance(value, str):
        value = value.encode() + (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack("<I", len(value)) + value
    if vr in ("OB", "OV", "OW"):
        return head + struct.pack(order + "2sHI", vr.encode(), 0, len(value)) + value
    return head + struct.pack(order + "2sH", vr.encode(), len(value)) + value


def ct(path, syntax, pixel_data, shape, bits, is_signed, allocated=None, high_bit=None, vr="OW", offsets=None):
    """Writes a CT of `shape` (frames, rows, columns). `syntax` is a UID without its root; `pixel_data` are the
    bytes of the element, for encapsulated syntaxes the items, for native ones the cells; `offsets` an extended
    offset table and its lengths."""
    frames, rows, columns = shape
    encapsulated = syntax not in (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED)
    # under the root that UUIDs have
    instance = f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, path.name).int}"
    group = [
        (0x00080016, "UI", CT_IMAGE),
        (0x00080018, "UI", instance),
        (0x00080060, "CS", "CT"),
        (0x00280002, "US", 1),
        (0x00280004, "CS", "MONOCHROME2"),
        *([(0x00280008, "IS", str(frames))] if frames > 1 else []),
        (0x00280010, "US", rows),
        (0x00280011, "US", columns),
        (0x00280100, "US", allocated or (8 if bits <= 8 else 16 if bits <= 16 else 32)),
        (0x00280101, "US", bits),
        (0x00280102, "US", bits - 1 if high_bit is None else high_bit),
        (0x00280103, "US", int(is_signed)),
        (0x00281052, "DS", "0"),
        (0x00281053, "DS", "1"),
        *([(0x7FE00001, "OV", offsets[0]), (0x7FE00002, "OV", offsets[1])] if offsets else []),
    ]
    order, implicit = ">" if syntax == EXPLICIT_BE else "<", syntax == IMPLICIT_LE
    body = b"".join(element(*parts, order, implicit) for parts in group)
    if encapsulated:
        body += struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + pixel_data
    else:
        body += element(0x7FE00010, vr, pixel_data + b"\0" * (len(pixel_data) % 2), order, implicit)
    if syntax == DEFLATED:
        deflate = zlib.compressobj(wbits=-15)
        body = deflate.compress(body) + deflate.flush()
    meta = element(0x00020001, "OB", b"\0\1") + element(0x00020002, "UI", CT_IMAGE)
    meta += element(0x00020003, "UI", instance) + element(0x00020010, "UI", ROOT_UID + syntax)
    length = element(0x00020000, "UL", struct.pack("<I", len(meta)))
    path.write_bytes(b"\0" * 128 + b"DICM" + length + meta + body)


def item(content):
    """An item as it stands, also of odd length."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def encapsulated(codestreams):
    """The items of frames of one fragment each, behind an empty basic offset table."""
    return item(b"") + b"".join(item(c + b"\0" * (len(c) % 2)) for c in codestreams) + END
