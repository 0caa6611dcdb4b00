"""GDCM in a process of its own, since it takes its process down on some damaged files.

usage: gdcm_child.py read FILE...                        for each file a pickle: an array (frame, row, column), or None
       gdcm_child.py write [SOURCE SYNTAX TARGET]...     the same image in another transfer syntax, by GDCM's name
"""

import io
import pickle
import subprocess
import sys

import numpy as np


def gdcm_values(paths):
    """For each path what GDCM reads; None also where it takes its process down."""
    found = []
    while len(found) < len(paths):
        rest = [str(path) for path in paths[len(found) :]]
        command = [sys.executable, __file__, "read", *rest]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        file = io.BytesIO(done.stdout)
        while file.tell() < len(done.stdout):
            found.append(pickle.load(file))
        if done.returncode != 0:
            found.append(None)
    return found


def gdcm_transcode(triples):
    """Writes each (source, GDCM's name of a syntax, target)."""
    command = [sys.executable, __file__, "write", *(str(part) for triple in triples for part in triple)]
    subprocess.run(command, check=True, capture_output=True)


def read(path):
    reader = gdcm.ImageReader()
    reader.SetFileName(path)
    if not reader.Read():
        return None
    picture = reader.GetImage()
    form = picture.GetPixelFormat()
    sizes = [picture.GetDimension(axis) for axis in range(picture.GetNumberOfDimensions())]
    size, sign = form.GetBitsAllocated(), form.GetPixelRepresentation()
    content = picture.GetBuffer()
    if form.GetSamplesPerPixel() != 1 or size not in (8, 16, 32) or content is None:
        return None
    raw = np.frombuffer(content.encode("utf-8", "surrogateescape"), f"<{'ui'[sign]}{size // 8}")
    shape = (*sizes[2:], sizes[1], sizes[0])
    return raw.reshape(-1, *shape[-2:]) if raw.size == np.prod(shape) else None


def write(source, syntax, target):
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(source)
    assert reader.Read(), source
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change(), syntax
    writer.SetFileName(target)
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write(), target


if __name__ == "__main__":
    import gdcm

    mode, *arguments = sys.argv[1:]
    if mode == "write":
        for triple in zip(*[iter(arguments)] * 3):
            write(*triple)
    else:
        for path in arguments:
            try:
                values = read(path)
            except Exception:
                values = None
            pickle.dump(values, sys.stdout.buffer)
            sys.stdout.buffer.flush()
