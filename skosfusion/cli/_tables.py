"""From the options to a cohort."""

import os
import shlex
import warnings
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from .. import datasets
from .._utils.problems import Problems
from .._utils.progress import progress_bar
from ..datasets import (
    AgeColumn,
    ImageColumn,
    KeptColumn,
    TargetColumn,
    exclude_rows,
    exclude_screenshots,
    load_cohort,
)
from ..images import open_image
from ._columns import declarations, pairs, target_of
from ._errors import DataProblemError, UsageError
from ._image_guess import is_file

# No table has such a heading.
_NO_LABEL = "skosfusion: no label is needed"


def source_of(options):
    """Return what a cohort is called."""
    if options.folders:
        name = os.path.basename(os.path.abspath(options.image_folder))
        return f"{name}/{options.folders}"
    return ", ".join(os.path.basename(path) for path in options.image_table)


def load(options, output):
    """Load the user's tables, or draw the embedded cohort."""
    if options.image_table is None and not options.folders:
        return datasets.make_osteosarcoma_cohort(
            n_patients=options.patients,
            random_state=0,
            data_home=options.data_home,
            n_jobs=os.cpu_count(),
        )
    return _load(request(options), options, output)


def load_without_labels(options, output):
    """Load the user's tables to predict from: labels are not looked for."""
    images, clinical = read_tables(options)
    columns = declarations(options) | {"target": TargetColumn(_NO_LABEL)}
    # What is kept for a report, such as an outcome, new rows need not have.
    columns = {name: what for name, what in columns.items() if not isinstance(what, KeptColumn)}
    image = _image_column(columns).column
    # Others are joined to the table that has the images, and one column stands in one table.
    for frame in [one for one in images if image in one] or images[:1]:
        frame[_NO_LABEL] = "0"
    arguments = _request(options, columns, images, clinical)
    # The model was fitted with such an input, and says what its missing values are.
    try:
        cohort = _load(arguments | {"keep_empty_inputs": True}, options, output)
    except ValueError as error:
        raise DataProblemError(str(error).replace(f", {_NO_LABEL!r}", "")) from error
    return Bunch(data=cohort.data, groups=cohort.groups, kept=cohort.kept, DESCR=cohort.DESCR)


def _load(arguments, options, output):
    """Load a cohort, and leave out what cannot be read where the options say so."""
    cohort = load_cohort(**arguments)
    is_kept = options.unusable_images == "error"
    return cohort if is_kept else without_unusable(arguments, cohort, options, output)


def request(options, tables=None):
    """Return the arguments of `load_cohort` that the options ask for; `tables` are read already."""
    images, clinical = read_tables(options) if tables is None else tables
    columns = declarations(options) | {"target": target_of(options)}
    return _request(options, columns, images, clinical)


def _request(options, columns, images, clinical):
    """Return the arguments of `load_cohort` for these columns and tables."""
    columns = dict(columns)
    if options.screenshots is not None:
        image = _image_column(columns)
        images = [exclude_screenshots(one, options.screenshots, image=image) for one in images]
    if options.unusable_images == "exclude":
        image, folder = _image_column(columns), image_folder(options)
        images = [_without_absent(one, image, folder) for one in images]
    age = columns.get("age")
    is_sought = isinstance(age, AgeColumn) and age.column == "age" and not options.age_unit
    if is_sought and not any("age" in one for one in [*images, *clinical]):
        del columns["age"]  # how all numbers are written does not mean that there are ages
    return {
        "image_table": images[0] if len(images) == 1 else images,
        "clinical_table": clinical[0] if len(clinical) == 1 else clinical or None,
        "image_folder": image_folder(options),
        "columns": columns,
        "na_values": tuple(options.na_value or ()),
    }


def image_folder(options):
    """Return the folder that the names of images are relative to."""
    if options.image_folder or not options.image_table:
        return options.image_folder
    return os.path.dirname(options.image_table[0]) or "."


def read_tables(options):
    """Return the image tables and the clinical tables, as lists of frames; each is read once."""
    problems, images, clinical = Problems(), [], []
    if options.folders:
        with problems.collected():
            images.append(list_folders(options))
    given = [
        (images, options.image_table or [], options.sheet),
        (clinical, options.clinical_table or [], options.clinical_sheet),
    ]
    n_texts = sum(is_text(path) for _, paths, _ in given for path in paths)
    for tables, paths, sheets in given:
        # Where no table has what an option is about, the first one says so.
        n_workbooks = sum(map(has_sheets, paths))
        for path in paths:
            how = _how(options, is_text(path) or not n_texts)
            of_path = sheets if has_sheets(path) or not n_workbooks else None
            for sheet in of_path or [None]:
                with problems.collected():
                    tables.append(_read(path, sheet, how))
    problems.raise_any()
    return images, clinical


def _how(options, is_text):
    names = ("separator", "encoding", "decimal") if is_text else ("decimal",)
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _read(path, sheet, how):
    if os.path.isdir(path):
        raise UsageError(
            f"{path} is a folder, not a table; for images in folders that say what they are, give "
            f"--image-folder {shlex.quote(path)} --folders diagnosis/patient_id, and tables with "
            "--clinical-table"
        )
    return datasets.read_table(path, sheet=sheet, **how)


def list_folders(options):
    """Return the images in folders as a table; a level has the column's name that is declared."""
    columns = pairs(options.column, "--column")
    levels = (part.strip() for part in options.folders.split("/"))
    return datasets.list_images(
        options.image_folder, levels=tuple(columns.get(level, level) for level in levels)
    )


def _image_column(columns):
    column = columns.get("image", "image")
    return column if isinstance(column, ImageColumn) else ImageColumn(column)


def has_sheets(path):
    """Return whether a file is a workbook, by its name."""
    return str(path).lower().endswith((".xlsx", ".xlsm", ".xls", ".ods"))


def is_text(path):
    """Return whether a file is CSV, by its name."""
    return not has_sheets(path) and not str(path).lower().endswith((".parquet", ".pq"))


def _without_absent(frame, image, folder):
    """Leave out the rows without an image, and those whose file is not in the folder."""
    if image.column not in frame:
        return frame
    absent = np.array(
        [
            not any(_may_be_there(name, folder) for name in names)
            for names in _possible_names(frame, image)
        ]
    )
    if not absent.any() or absent.all():
        return frame
    return exclude_rows(frame, absent, "no image, or no such file")


def _possible_names(frame, image):
    """Return, for each row of a table, what its file may be called."""
    names = frame[image.column].fillna("").astype("str").str.strip()
    return [[name + end for end in dict.fromkeys(("", image.suffix or ""))] for name in names]


def _may_be_there(name, folder):
    """Return whether a name is that of a file; what leaves the folder is refused later."""
    leaves = os.path.isabs(name) or ".." in PurePath(name).parts
    return leaves or is_file(Path(folder), name)


def without_unusable(arguments, cohort, options, output):
    """Load the cohort again without the rows whose image cannot be read, and list them."""
    unusable = set()
    for row, path in enumerate(progress_bar(cohort.data["image"], shown=None, desc="checking")):
        if pd.isna(path):
            continue
        try:
            open_image(path, row=row, frame=options.frame)
        except OSError as error:
            unusable.add(path)
            output.say(f"left out: {error}")
    if unusable.issuperset(cohort.data["image"].dropna()):
        raise DataProblemError("no image can be read; see the list above")
    if not unusable:
        return cohort
    image, tables = _image_column(arguments["columns"]), arguments["image_table"]
    tables = tables if isinstance(tables, list) else [tables]
    folder = os.path.abspath(arguments["image_folder"])
    tables = [_without_files(one, unusable, image, folder) for one in tables]
    tables = [one for one in tables if len(one)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they were given the first time
        usable = load_cohort(**arguments | {"image_table": tables})
    n_images = len(cohort.data)
    output.say(f"left out {n_images - len(usable.data)} of {n_images} images")
    return usable


def _without_files(frame, files, image, folder):
    """Leave out the rows of a table that name one of some files."""
    if image.column not in frame:
        return frame
    is_named = np.array(
        [
            any(os.path.normpath(os.path.join(folder, name)) in files for name in names)
            for names in _possible_names(frame, image)
        ]
    )
    if is_named.all():
        return frame[:0]
    return exclude_rows(frame, is_named, "image that cannot be read") if is_named.any() else frame
