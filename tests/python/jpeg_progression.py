"""Progressive JPEG from a sequential one: its quantised coefficients, in other scans.

No encoder that pip installs writes spectral selection alone (T.81 processes 6 and 8), nor 12 bits progressive.
"""

import struct

DCT_BLOCK = 64
DC_SYMBOLS = list(range(16))
AC_SYMBOLS = [0x00, 0xF0] + [run << 4 | size for run in range(16) for size in range(1, 16)]


def segments(jpeg):
    """(marker, body) up to the scan, whose entropy-coded bytes are the last body."""
    at = 2
    while True:
        marker, length = jpeg[at + 1], struct.unpack(">H", jpeg[at + 2 : at + 4])[0]
        body = jpeg[at + 4 : at + 2 + length]
        yield marker, body
        at += 2 + length
        if marker == 0xDA:
            yield None, jpeg[at:-2].replace(b"\xff\0", b"\xff")
            return


def huffman_tables(body):
    while body:
        symbols, code, table = iter(body[17:]), 0, {}
        for length, count in enumerate(body[1:17], 1):
            for _ in range(count):
                table[length, code] = next(symbols)
                code += 1
            code <<= 1
        yield body[0], table
        body = body[17 + sum(body[1:17]) :]


class Reader:
    def __init__(self, entropy):
        self.bits, self.at = "".join(f"{byte:08b}" for byte in entropy), 0

    def take(self, count):
        self.at += count
        return int("0" + self.bits[self.at - count : self.at], 2)

    def symbol(self, table):
        code = 0
        for length in range(1, 17):
            code = code << 1 | self.take(1)
            if (length, code) in table:
                return table[length, code]
        raise ValueError("no such code")

    def value(self, size):
        raw = self.take(size)
        return raw if not size or raw >> (size - 1) else raw - (1 << size) + 1


def coefficients(jpeg):
    """(segments to keep, the frame header's body, blocks of 64 coefficients in zigzag order) of a grey JPEG."""
    keep, tables = [], {}
    for marker, body in segments(jpeg):
        if marker == 0xDB:
            keep.append((marker, body))
        elif marker in (0xC0, 0xC1):
            frame = body
        elif marker == 0xC4:
            tables.update(huffman_tables(body))
        elif marker is None:
            reader = Reader(body)
    rows, columns = struct.unpack(">HH", frame[1:5])
    blocks, before = [], 0
    for _ in range(-(-rows // 8) * -(-columns // 8)):
        block = [0] * DCT_BLOCK
        before = block[0] = before + reader.value(reader.symbol(tables[0]))
        k = 1
        while k < DCT_BLOCK:
            symbol = reader.symbol(tables[16])
            if symbol == 0:
                break
            k += symbol >> 4
            if symbol & 15:
                block[k] = reader.value(symbol & 15)
            k += 1
        blocks.append(block)
    return keep, frame, blocks


class Writer:
    """Flat codes: 5 bits for a DC symbol, 9 for an AC symbol; a symbol's code is its index."""

    def __init__(self):
        self.bits = []

    def put(self, value, count):
        if count:
            self.bits.append(f"{value & ((1 << count) - 1):0{count}b}")

    def value(self, value, size):
        self.put(value if value >= 0 else value + (1 << size) - 1, size)

    def entropy(self):
        bits = "".join(self.bits)
        bits += "1" * (-len(bits) % 8)
        return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(body)) + body


def scan(entropy, first, last, high=0, low=0):
    return segment(0xDA, bytes([1, 1, 0, first, last, high << 4 | low])) + entropy


def dc_scan(blocks, low):
    """The DC coefficients without their lowest `low` bits."""
    writer, before = Writer(), 0
    for block in blocks:
        difference, before = (block[0] >> low) - before, block[0] >> low
        size = abs(difference).bit_length()
        writer.put(size, 5)
        writer.value(difference, size)
    return scan(writer.entropy(), 0, 0, 0, low)


def dc_bit_scan(blocks):
    """The lowest bit of the DC coefficients."""
    writer = Writer()
    for block in blocks:
        writer.put(block[0], 1)
    return scan(writer.entropy(), 0, 0, 1, 0)


def ac_scan(blocks, first, last):
    writer = Writer()
    for block in blocks:
        run = 0
        for value in block[first : last + 1]:
            if value == 0:
                run += 1
                continue
            while run > 15:
                writer.put(AC_SYMBOLS.index(0xF0), 9)
                run -= 16
            size = abs(value).bit_length()
            writer.put(AC_SYMBOLS.index(run << 4 | size), 9)
            writer.value(value, size)
            run = 0
        if run:
            writer.put(AC_SYMBOLS.index(0), 9)
    return scan(writer.entropy(), first, last)


def progressive(jpeg, successive):
    """The same image progressively: spectral selection, with `successive` also the DC's lowest bit by itself."""
    keep, frame, blocks = coefficients(jpeg)
    counts = lambda length, count: bytes(count if n == length else 0 for n in range(1, 17))
    parts = [segment(*part) for part in keep]
    parts.append(segment(0xC2, frame))
    parts.append(segment(0xC4, b"\x00" + counts(5, len(DC_SYMBOLS)) + bytes(DC_SYMBOLS)))
    parts.append(segment(0xC4, b"\x10" + counts(9, len(AC_SYMBOLS)) + bytes(AC_SYMBOLS)))
    parts.append(dc_scan(blocks, int(successive)))
    parts += [ac_scan(blocks, 1, 5), ac_scan(blocks, 6, 63)]
    if successive:
        parts.append(dc_bit_scan(blocks))
    return b"\xff\xd8" + b"".join(parts) + b"\xff\xd9"
