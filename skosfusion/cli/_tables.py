"""From the options to a cohort."""

import os

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from .. import datasets
from .._utils.progress import progress_bar
from ..datasets import ImageColumn, TargetColumn, exclude_screenshots, load_cohort
from ..images import open_image
from ._columns import declarations, split, target_of
from ._errors import DataProblemError

# No table has such a heading.
_NO_LABEL = "skosfusion: no label is needed"
_PATIENT = "patient_id"


def source_of(options):
    """Return what a cohort is called."""
    if options.folders:
        return str(options.image_folder)
    return ", ".join(map(str, options.image_table))


def load(options, output):
    """Load the user's tables, or draw the embedded cohort."""
    if options.image_table is None and not options.folders:
        return datasets.make_osteosarcoma_cohort(
            n_patients=options.patients,
            random_state=0,
            data_home=options.data_home,
            n_jobs=os.cpu_count(),
        )
    return _load(request(options, output), options, output)


def load_without_labels(options, output):
    """Load the user's tables to predict from: labels are not looked for."""
    images = _images(options, output, as_frames=True)
    for frame in images if isinstance(images, list) else [images]:
        frame[_NO_LABEL] = "0"
    columns = declarations(options) | {"target": TargetColumn(_NO_LABEL)}
    cohort = _load(_request(options, columns, images), options, output)
    return Bunch(data=cohort.data, groups=cohort.groups, kept=cohort.kept, DESCR=cohort.DESCR)


def _load(arguments, options, output):
    """Load a cohort, and leave out what cannot be read where the options say so."""
    cohort = load_cohort(**arguments)
    is_kept = options.unusable_images == "error"
    return cohort if is_kept else _without_unusable(cohort, options, output)


def request(options, output):
    """Return the arguments of `load_cohort` that the options ask for."""
    columns = declarations(options) | {"target": target_of(options)}
    return _request(options, columns, _images(options, output))


def _request(options, columns, images):
    """Return the arguments of `load_cohort` for these columns and image tables."""
    folder = options.image_folder
    if folder is None and not isinstance(images, str):
        folder = os.path.dirname(options.image_table[0])
    if options.screenshots is not None:
        images = exclude_screenshots(
            images, options.screenshots, image=_image_column(columns), image_folder=folder
        )
    clinical = _sources(options.clinical_table, options.clinical_sheet, options)
    return {
        "image_table": images,
        "clinical_table": clinical,
        "image_folder": folder,
        "columns": columns,
        "na_values": tuple(options.na_value or ()),
    }


def sources(options):
    """Return all tables as frames of text."""
    tables = []
    for paths, sheets in (
        (options.image_table, options.sheet),
        (options.clinical_table, options.clinical_sheet),
    ):
        read = _sources(paths, sheets, options, as_frames=True)
        tables += read if isinstance(read, list) else [] if read is None else [read]
    return tables


def _image_column(columns):
    column = columns.get("image", "image")
    return column if isinstance(column, ImageColumn) else ImageColumn(column)


def _images(options, output, *, as_frames=False):
    """Return the image tables as `load_cohort` takes them: paths, or frames where needed."""
    if options.folders:
        levels = tuple(part.strip() for part in options.folders.split("/"))
        return datasets.list_images(options.image_folder, levels=levels)
    needs_frames = as_frames or options.same_patient
    images = _sources(options.image_table, options.sheet, options, as_frames=bool(needs_frames))
    if options.same_patient:
        return _each(images, lambda frame: _with_same_patients(frame, options, output))
    return images


def _each(images, change):
    return [change(one) for one in images] if isinstance(images, list) else change(images)


def _with_same_patients(frame, options, output):
    """Give neighboring rows that agree in some columns one patient."""
    patients = datasets.same_patients(frame, split(options.same_patient))
    output.say(f"patients by {options.same_patient}: {len(set(patients))}")
    return frame.assign(**{_PATIENT: np.asarray(patients)})


def _sources(paths, sheets, options, *, as_frames=False):
    """Return tables as `load_cohort` takes them; options of how they are written make frames."""
    if not paths:
        return None
    how = {
        name: getattr(options, name)
        for name in ("separator", "decimal", "encoding")
        if getattr(options, name) is not None
    }
    sources = paths
    if as_frames or how or sheets:
        sources = [
            datasets.read_table(path, sheet=sheet, **how)
            for path in paths
            for sheet in (sheets if sheets and _has_sheets(path) else [None])
        ]
    return sources[0] if len(sources) == 1 else sources


def _has_sheets(path):
    return str(path).lower().endswith((".xlsx", ".xlsm", ".xls", ".ods"))


def _without_unusable(cohort, options, output):
    """Leave out the rows whose image cannot be read, and list them."""
    usable = np.ones(len(cohort.data), bool)
    for row, path in enumerate(progress_bar(cohort.data["image"], shown=None, desc="checking")):
        if pd.isna(path):
            continue
        try:
            open_image(path, row=row, frame=options.frame)
        except OSError as error:
            usable[row] = False
            output.say(f"left out: {error}")
    if not usable.any():
        raise DataProblemError("no image can be read; see the list above")
    for name in ("data", "frame", "kept"):
        cohort[name] = cohort[name][usable].reset_index(drop=True)
    for name in ("target", "groups"):
        cohort[name] = cohort[name][usable]
    output.say(f"left out {np.sum(~usable)} of {len(usable)} images")
    return cohort
