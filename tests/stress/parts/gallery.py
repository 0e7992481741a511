"""Small image files whose contents take turns, and what is right to see in them at any moment."""

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

_SIDE = 32
_SMALL_SIDE = 16
#: Reading options, by name.
OPTIONS = {"whole": {"image_size": None}, "small": {"image_size": _SMALL_SIDE}}
#: Those of the features.
FEATURE_OPTIONS = {"image_size": _SIDE}


class Gallery:
    """Image files, each with several contents that follow each other.

    One process changes files, any number read them. Each file has a counter: it is even while a
    content lies there, and odd while the next one is being put in its place. What a reader may see
    is what lay there from just before its call to just after.
    """

    def __init__(self, folder, counters, *, n_versions, seed):
        self.counters = counters
        self.n_versions = n_versions
        # Bitmaps of one size: neither length nor, below, time tells them apart.
        self.paths = [str(Path(folder) / f"image{i:03}.bmp") for i in range(len(counters))]
        random = np.random.default_rng(seed)
        shape = len(counters), n_versions, _SIDE, _SIDE
        self.pixels = random.integers(0, 256, shape, np.uint8)

    def content(self, file, version):
        """Give the bytes of a file in one of its versions."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels[file, version]).save(buffer, "BMP")
        return buffer.getvalue()

    def write_first(self):
        """Write all files in their first version."""
        for file, path in enumerate(self.paths):
            Path(path).write_bytes(self.content(file, 0))

    def change(self, file):
        """Put the next content in the place of a file, with the time of the one before."""
        path = self.paths[file]
        status = os.stat(path)
        following = (self.counters[file] // 2 + 1) % self.n_versions
        temporary = f"{path}.next"
        Path(temporary).write_bytes(self.content(file, following))
        os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))
        self.counters[file] += 1
        os.replace(temporary, path)
        self.counters[file] += 1

    def allowed(self, before, after):
        """List the versions that may be seen by a call between two readings of a counter."""
        first, last = before // 2, (after + 1) // 2
        return {step % self.n_versions for step in range(first, last + 1)}

    def expected_pixels(self, name):
        """Give what reading must give, from the known contents and Pillow alone."""
        if name == "whole":
            return self.pixels[:, :, None]
        size = (_SMALL_SIDE, _SMALL_SIDE)
        flat = [
            np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
            for image in self.pixels.reshape(-1, _SIDE, _SIDE)
        ]
        return np.array(flat).reshape(*self.pixels.shape[:2], 1, *size)
