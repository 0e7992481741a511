"""Which rows of a table show the same image, whatever its file is called."""

from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

import joblib
import numpy as np
import pandas as pd

from .._utils.progress import progress_bar
from ..images import path_text, read_file, read_pixels

_DIGEST_BYTES = 16
# Tasks that wait for a thread cost memory, too.
_BLOCK = 1024


def image_names(paths):
    """Write each path as text, None where there is none; an array of object."""
    is_missing = paths.isna().to_numpy()
    names = np.full(len(paths), None, object)
    for row, path in enumerate(paths.to_numpy(object)):
        if not is_missing[row]:
            names[row] = path_text(path, row)
    return names


def image_codes(names, options, *, n_threads, verbose):
    """Give the images numbers from 0, one for the same pixels, and -1 where there is no path."""
    codes, files = pd.factorize(names)
    first_rows = np.zeros(len(files), int)
    rows_with_path = np.flatnonzero(codes >= 0)[::-1]
    first_rows[codes[rows_with_path]] = rows_with_path
    rows = first_rows.tolist()
    known = {}

    def digest(file, row):
        data, _ = read_file(file, row=row)
        content = blake2b(data, digest_size=_DIGEST_BYTES).digest()
        if content not in known:
            pixels = read_pixels(data, options, path=file, row=row)
            shown = blake2b(repr(pixels.shape).encode(), digest_size=_DIGEST_BYTES)
            shown.update(pixels)
            known[content] = shown.digest()
        return known[content]

    digests = np.empty(len(files), object)
    bar = progress_bar(total=len(files), shown=verbose, desc="comparing images", unit="image")
    # Reading, hashing and decoding leave Python's lock to others for most of their time.
    with bar, ThreadPoolExecutor(n_threads or joblib.cpu_count()) as pool:
        for start in range(0, len(files), _BLOCK):
            block = slice(start, start + _BLOCK)
            for place, found in enumerate(pool.map(digest, files[block], rows[block]), start):
                digests[place] = found
                bar.update()
    images = np.append(pd.factorize(digests)[0], -1)
    return images[codes]
