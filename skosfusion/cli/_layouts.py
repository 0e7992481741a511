"""How tables and folders belong together, guessed for `skosfusion check`: sheets, levels, joins."""

import copy
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from .._utils.files import OUTPUT_MARK
from ..datasets import IMAGE_SUFFIXES, read_table, visible_sheets
from ._command_line import with_guesses
from ._names import role_of
from ._tables import has_sheets, image_folder, list_folders

_ENOUGH_NAMES = 0.5
_MOST_ENTRIES = 20_000
_DEEPEST = 2


def guess_sheets(parser, options, guesses):
    """Return options that name the sheets of a workbook which belong together.

    These are the visible ones that share a heading with another, such as the record number.
    """
    for paths, name in (("image_table", "sheet"), ("clinical_table", "clinical_sheet")):
        workbooks = [path for path in getattr(options, paths) or () if has_sheets(path)]
        if getattr(options, name) or len(workbooks) != 1 or not os.path.isfile(workbooks[0]):
            continue
        headings = _headings(workbooks[0])
        if len(headings) < 2:
            continue
        option = "--" + name.replace("_", "-")
        chosen = [
            sheet
            for sheet, own in headings.items()
            if any(own & other for one, other in headings.items() if one != sheet)
        ]
        title = os.path.basename(workbooks[0])
        if not chosen:
            listed = ", ".join(map(repr, headings))
            guesses.ask(name, f"which sheets of {title!r} hold the tables? {option} NAME: {listed}")
            continue
        shown = " and ".join(map(repr, chosen))
        others = [sheet for sheet in headings if sheet not in chosen]
        reason = "they share a heading"
        reason += f"; not {', '.join(map(repr, others))}" if others else ""
        guesses.add(title, f"sheets {shown}", reason, [option, chosen])
        options = with_guesses(parser, options, [(option, sheet) for sheet in chosen])
    return options


def _headings(path):
    """Return the headings of each visible sheet; of one that is no table, none."""
    headings = {}
    for sheet in visible_sheets(path):
        try:
            headings[sheet] = set(read_table(path, sheet=sheet).columns) - {""}
        except ValueError:
            headings[sheet] = set()
    return headings


def guess_folders(options, tables, guesses):
    """Return options and tables for images whose folders say what they are; None for others.

    A level is the patient's where its names stand in a column of the tables.
    """
    images, clinical = tables
    folder = Path(image_folder(options))
    parents = _folders_with_images(folder)
    if not parents:
        return None
    best = (_ENOUGH_NAMES, None, None)
    for level, names in enumerate(map(set, zip(*parents, strict=True))):
        share, column = named_in(names, [*images, *clinical])
        best = max(best, (share, level, column), key=lambda one: one[0])
    share, level, column = best
    if level is None:
        return None
    outer = "diagnosis" if options.target == "diagnosis" else "folder"
    levels = [outer] * len(parents[0])
    levels[level] = "patient_id"
    changed = copy.copy(options)
    changed.folders, changed.image_folder = "/".join(levels), str(folder)
    changed.clinical_table = [*options.image_table, *(options.clinical_table or [])]
    changed.clinical_sheet = [*(options.sheet or []), *(options.clinical_sheet or [])] or None
    changed.image_table = changed.sheet = None
    guesses.add(
        f"{folder}/{changed.folders}",
        "folders of images",
        f"{share:.0%} of the names in column {column!r} are such folders",
    )
    return changed, ([list_folders(changed)], [*images, *clinical])


def _folders_with_images(folder):
    """Return the names of the folders above images that lie equally deep; () where they do not."""
    found, n_entries, waiting = Counter(), 0, [()]
    while waiting and n_entries < _MOST_ENTRIES:
        parents = waiting.pop()
        with os.scandir(folder.joinpath(*parents)) as entries:
            entries = list(entries)
        n_entries += len(entries)
        if parents and any(entry.name == OUTPUT_MARK for entry in entries):
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False) and len(parents) < _DEEPEST:
                waiting.append((*parents, entry.name))
            elif parents and os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:
                found[parents] += 1
    return sorted(found) if len({len(parents) for parents in found}) == 1 else ()


def named_in(names, tables):
    """Return the column whose cells are most often one of some names, after how often."""
    best = (0.0, None)
    for table in tables:
        for column in table.columns:
            known = table[column].dropna().astype("str").str.strip()
            known = known[known != ""]
            share = float(known.isin(names).mean()) if len(known) else 0.0
            best = max(best, (share, column), key=lambda one: one[0])
    return best


def guess_patients_of_folders(parser, options, tables, guesses):
    """Return options and tables in which the level of the patients has the name of its column."""
    (listed,), clinical = tables
    names = [c for c in listed if c == "patient_id"]
    if not names or not clinical or any("patient_id" in table for table in clinical):
        return options, tables
    share, column = named_in(set(listed["patient_id"]), clinical)
    if share < _ENOUGH_NAMES:
        return options, tables
    pair = ("--column", f"patient_id={column}")
    guesses.add(column, "patient", f"{share:.0%} of its cells are folders of patients", pair)
    options = with_guesses(parser, options, [pair])
    return options, ([listed.rename(columns={"patient_id": column})], clinical)


def side_by_side(images, clinical, patient):
    """Return all cells of some tables, one row for each image where patients can be told."""
    groups = {}
    for table in [*images, *clinical]:
        groups.setdefault(frozenset(table.columns), []).append(table)
    stacked = [pd.concat([_plain(one) for one in group]) for group in groups.values()]
    stacked = [one.loc[:, ~one.columns.duplicated()].reset_index(drop=True) for one in stacked]
    cells = stacked[0]
    for other in stacked[1:]:
        shared = [column for column in other if column in cells]
        keys = [c for c in shared if c == patient or role_of(c) == "patient_id"] or shared
        if len(keys) != 1:
            new = other.drop(columns=shared)
            cells = pd.concat([cells, new], axis=1)
            continue
        key = keys[0]
        new = other.drop(columns=[column for column in shared if column != key])
        if cells[key].duplicated().sum() < new[key].duplicated().sum():
            cells, new = new, cells
        cells = cells.merge(new.drop_duplicates(key), on=key, how="left")
    return cells


def _plain(frame):
    frame = frame.copy(deep=False)
    frame.attrs = {}
    return frame.astype("str").mask(frame.isna(), np.nan)
