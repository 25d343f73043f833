"""A picture of digits as numbers: PNG, 8 x 8 pixels for each digit, dark on white, side by side and in lines."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # grey, RGB, grey and alpha, RGBA
MAX_SIDE = 2048  # pixels; a picture of a few bytes may say that it is enormous
SIDE = 8
BLACK = 16


def digits(path):
    """Returns rows of 64 numbers, 0 (white) to 16 (black), one for each digit of a PNG file."""
    rows = grey(path)
    if len(rows) % SIDE or len(rows[0]) % SIDE:
        raise ValueError("the picture has %d x %d pixels: digits have %d x %d" % (len(rows[0]), len(rows), SIDE, SIDE))
    ink = [[(255 - v) * BLACK / 255 for v in row] for row in rows]
    return [[v for row in ink[y:y + SIDE] for v in row[x:x + SIDE]]
            for y in range(0, len(ink), SIDE) for x in range(0, len(ink[0]), SIDE)]


def grey(path):
    """Returns the rows of a PNG file as greys from 0 to 255; of colours the mean, whatever their alpha."""
    with open(path, "rb") as f:
        if f.read(len(SIGNATURE)) != SIGNATURE:
            raise ValueError("the picture is no PNG")
        width = height = 0
        packed = b""
        while True:
            head = f.read(8)
            if len(head) < 8:
                raise ValueError("the picture breaks off")
            length, kind = struct.unpack(">I4s", head)
            data = f.read(length)
            f.read(4)  # the checksum
            if kind == b"IHDR":
                width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", data)
                if depth != 8 or colour not in CHANNELS or interlaced or not 0 < max(width, height) <= MAX_SIDE:
                    raise ValueError("a picture has at most %d x %d pixels, 8 bits deep and not interlaced" % (MAX_SIDE, MAX_SIDE))
            elif kind == b"IDAT":
                packed += data
            elif kind == b"IEND":
                break
    channels = CHANNELS[colour]
    line = 1 + width * channels
    try:
        raw = zlib.decompressobj().decompress(packed, height * line)
    except zlib.error as e:
        raise ValueError("the picture cannot be read: %s" % e)
    if len(raw) < height * line:
        raise ValueError("the picture breaks off")
    rows, above = [], bytes(width * channels)
    for y in range(height):
        above = unfiltered(raw[y * line], raw[y * line + 1:(y + 1) * line], above, channels)
        colours = 3 if channels > 2 else 1
        rows.append([sum(above[x:x + colours]) / colours for x in range(0, len(above), channels)])
    return rows


def unfiltered(kind, row, above, step):
    """Undoes the filter of a row (PNG, section 9)."""
    out = bytearray(row)
    for i in range(len(out)):
        a, b, c = (out[i - step] if i >= step else 0), above[i], (above[i - step] if i >= step else 0)
        if kind == 4:
            p = a + b - c
            nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        else:
            nearest = (0, a, b, (a + b) // 2)[kind]
        out[i] = (out[i] + nearest) & 0xFF
    return out
