"""Which column names the image files, with which suffix and in which folder: a guess."""

import os
from pathlib import Path

import numpy as np

_SUFFIXES = ("", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".PNG", ".JPG", ".JPEG", ".TIF")
_ENOUGH_FILES = 0.5
_FIRST_LOOKED_AT = 10
_MOST_LOOKED_AT = 200
_MOST_FOLDERS = 50


def guess_image(free, folder, guesses):
    """Find the column whose cells name files in the folder, or in one just below it."""
    if not os.path.isdir(folder):
        return  # loading says so
    folders = [Path(folder)]
    with os.scandir(folder) as entries:
        below = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    folders += [Path(folder, name) for name in below[:_MOST_FOLDERS]]
    best = (_ENOUGH_FILES, None, None, None)
    for place in folders:
        for name, texts in free.items():
            known = texts.dropna().iloc[:_MOST_LOOKED_AT]
            some = known.iloc[:: max(1, len(known) // _FIRST_LOOKED_AT)]
            for suffix in _SUFFIXES:
                if not any(is_file(place, text + suffix) for text in some):
                    continue
                share = np.mean([is_file(place, text + suffix) for text in known])
                if share > best[0]:
                    best = (share, name, suffix, place)
    share, name, suffix, place = best
    if name is None:
        guesses.ask(
            "image",
            "no column names files of the image folder; give --image-folder DIR and --column "
            "image=COLUMN",
        )
        return
    del free[name]
    options = () if name == "image" else ("--column", f"image={name}")
    options += ("--suffix", suffix) if suffix else ()
    options += () if place == folders[0] else ("--image-folder", str(place))
    reason = f"{share:.0%} of its cells{f' with {suffix}' if suffix else ''} are files in {place}"
    guesses.add(name, "image", reason, options)


def is_file(place, name):
    """Return whether a name is a file inside a folder."""
    parts = Path(name).parts
    return (
        bool(parts)
        and not os.path.isabs(name)
        and ".." not in parts
        and "\0" not in name
        and len(name) < 1024
        and os.path.isfile(place / name)
    )
