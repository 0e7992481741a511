"""Which rows of a table show the same picture, whatever its file is called."""

from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from ..images import path_text, read_file, read_pixels

_DIGEST_BYTES = 16
# Tasks that wait for a thread cost memory, too.
_BLOCK = 1024


def image_names(paths):
    """Write each path as text.

    Parameters
    ----------
    paths : Series of str or os.PathLike, length n_samples
        One a row; missing values are passed over.

    Returns
    -------
    ndarray of object, shape (n_samples,)
        The texts; None where there is no path.
    """
    is_missing = paths.isna().to_numpy()
    names = np.full(len(paths), None, object)
    for row, path in enumerate(paths.to_numpy(object)):
        if not is_missing[row]:
            names[row] = path_text(path, row)
    return names


def picture_codes(names, options, *, n_threads, verbose):
    """Give each row the number of its picture.

    Two rows have the same number if their files decode to the same pixels.

    Parameters
    ----------
    names : ndarray of object, shape (n_samples,)
        Paths of the image files as text; None is passed over.
    options : ReadOptions
        How the pictures are read.
    n_threads : int or None
        Threads that decode; None for as many as there are cores.
    verbose : int
        0 shows no progress.

    Returns
    -------
    ndarray of int, shape (n_samples,)
        Numbers from 0, in the order of the rows; -1 where there is no path.
    """
    codes, files = pd.factorize(names)
    first_rows = np.zeros(len(files), int)
    there = np.flatnonzero(codes >= 0)[::-1]
    first_rows[codes[there]] = there
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
    bar = tqdm(
        total=len(files), desc="comparing images", unit="image", delay=3, leave=False,
        disable=not verbose,
    )  # fmt: skip
    # Reading, hashing and decoding leave Python's lock to others for most of their time.
    with bar, ThreadPoolExecutor(n_threads or joblib.cpu_count()) as pool:
        for start in range(0, len(files), _BLOCK):
            block = slice(start, start + _BLOCK)
            for place, found in enumerate(pool.map(digest, files[block], rows[block]), start):
                digests[place] = found
                bar.update()
    pictures = np.append(pd.factorize(digests)[0], -1)
    return pictures[codes]
