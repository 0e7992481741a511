"""Load a cohort of one's own: a table of images, joined with a table of clinical records."""

import logging
import warnings

import pandas as pd

from .._utils.cells import MISSING, spelling
from .._utils.kept_columns import KEPT
from .._utils.missing_codes import CHECKED
from .._utils.problems import Problems
from .._utils.validation import check_parameter
from ..exceptions import LeakageWarning
from ._cohort import Cohort
from ._complete import columns_of_text, complete_columns
from ._empty_columns import leave_out_empty
from ._flow import as_table, describe_flow, next_step, steps_of
from ._frames import folder_of
from ._inputs import inputs_of
from ._kept_columns import KeptColumn
from ._near_names import near_names, note_near_names
from ._number_options import ALLOWED_NA_VALUES, are_values
from ._records import join_tables
from ._several import open_tables, split_by_images
from ._tables import FLOW

_logger = logging.getLogger(__name__)

_DESCR = """\
{n_images} images of {n_patients} patients, loaded from the user's own tables.

Labels: {labels}
Inputs: {inputs}
Inputs not found: {absent}{empty}
Missing values: {missing}
Kept beside the inputs: {kept}
Columns not read: {unread}
{read}{patients}{flow}
"""


def load_cohort(
    image_table,
    clinical_table=None,
    *,
    image_folder=None,
    columns=None,
    na_values=(),
    keep_empty_inputs=False,
):
    """Load images and clinical values of a cohort from tables, one row per image.

    Everything is checked before anything is returned: columns, numbers, record numbers, labels, and
    that each image file is there. The files themselves are decoded later, by the classifier.

    Parameters
    ----------
    image_table : path-like, DataFrame, or list of these
        One row per image. A path is read as :func:`read_table` reads it, which has the options to
        read it otherwise. Of several tables, those with the same columns are stacked; the others
        are joined by record number, and only one kind of them may have the column of images.
    clinical_table : path-like, DataFrame, list of these or None, default=None
        One row per patient, joined to the images by record number; several tables as above. With
        None, the image table holds the clinical values too.
    image_folder : path-like or None, default=None
        Folder that the image paths are relative to. None takes that of `image_table`; to be given
        where this is a DataFrame that :func:`read_table` has not read.
    columns : dict or None, default=None
        What the columns of the tables are, by our names:

        - "image": :class:`ImageColumn`, "patient_id": :class:`PatientColumn`, "gender":
          :class:`GenderColumn`, "age": :class:`AgeColumn`, "target": :class:`TargetColumn`. The
          name of a column is short for its declaration: ``{"gender": "sex"}``.
        - any other name: a laboratory value, :class:`KitColumn`, or ``(value, low, high)`` for
          short: ``{"crp": ("CRP", None, 5)}``; another input, :class:`NumberColumn`,
          :class:`CategoryColumn` or :class:`OneHotColumn`; or a column that is no input and is
          kept, :class:`KeptColumn`: ``{"site": KeptColumn("hospital")}``.

        What is not declared is looked for under our own names; the labels are "diagnosis" then.
        Gender, age and the laboratory values of the paper (``{"alp": ("alp", "alp_low",
        "alp_high"), "ldh": ("ldh", "ldh_low", "ldh_high")}``) may be absent; None leaves one out
        that is there. Further columns are not read, and ``DESCR`` names them.
    na_values : sequence of str or number, default=()
        What else stands for a missing value in any column, beside empty cells and "NA", "N/A",
        "NaN", "None" and "null". Case does not matter.
    keep_empty_inputs : bool, default=False
        Whether inputs whose column has no value in any row stay, as NaN. A model that was fitted
        with such an input needs it in new tables, too.

    Returns
    -------
    cohort : Cohort
        A Bunch, of which notebooks show a summary.

        data : DataFrame of shape (n_images, n_columns)
            "image" (absolute path) and "patient_id", both text; "gender" (text as it came) and
            "age" (years) where there are such columns; for each kit its name, ``<name>_low`` and
            ``<name>_high`` as float64, in their own unit; for each number its name, as float64, and
            for each category, as text. NaN where missing. Inputs without any value are left out,
            but for `keep_empty_inputs`.
        target : ndarray of shape (n_images,)
            Labels.
        groups : ndarray of str objects, shape (n_images,)
            Record number of the patient, for splits that keep patients together.
        kept : DataFrame of shape (n_images, n_kept)
            The columns declared as :class:`KeptColumn`, by our names; no inputs.
        frame : DataFrame of shape (n_images, n_columns + n_kept + 1)
            data, kept and the labels, in a column of their own name.
        flow : DataFrame
            From the rows of the table to those of the cohort: what was left out at each step, and
            why, as :func:`exclusion_flow` says.
        target_names : list of str
            Names of the classes in their order.
        DESCR : str
            What was loaded, in words.
        kits : dict
            The kits of `data`, for :func:`~skosfusion.preprocessing.make_clinical_transformer`.
        numbers, categories : dict
            The further numbers and categories of `data`, name to column, for the same.
        inputs : dict
            All inputs of `data`, as the arguments of the same: "gender" and "age" (None where
            there is no such column), "kits", "numbers" and "categories". So
            ``make_clinical_transformer(**cohort.inputs)`` takes what the tables hold.

    Raises
    ------
    ValueError
        For an argument out of its set; a table that is empty or cannot be read; a column that is
        missing, there twice or in both tables; text or infinity where a number belongs; a missing
        image, record number or label; a record number without or with two clinical records; a
        patient with two labels; and an image outside the folder.
    TypeError
        For a table, an image path or a cell of another type.
    TableError
        A ValueError that lists all problems of the tables, where there are several.
    FileNotFoundError
        For a table, an image folder or an image that is not there.
    ImageError
        For an image that is a folder, a device or a link to nothing.
    ImportError
        For Parquet without pyarrow, or a workbook without python-calamine.

    Warns
    -----
    UserWarning
        For inputs whose column has no value in any row, which are left out; for hidden rows and
        columns of a workbook, which are read; for columns whose names are nearly ours and are not
        read; for numbers that look like codes for a missing value; for labels that say "unknown",
        and for a pattern that counts the opposite as positive. Each names the column, how often it
        is so, and the remedy.
    LeakageWarning
        Where each image counts as a patient of its own (``{"patient_id": None}``), and for record
        numbers that are the same but for spelling (case, leading zeros, a trailing ".0", hyphens,
        invisible characters and the like), in either table, with the pairs. They stay different
        patients; ``PatientColumn(..., spellings="keep")`` says that they are.

    See Also
    --------
    read_table : Read a table that needs a word on its sheet, separator, decimal sign or encoding.
    check_digests : Compare the image files with a column of digests.
    exclude_rows : Leave rows out of an image table, for a reason that is counted.
    exclude_screenshots : Leave screenshots out of an image table.
    crop_screenshots : Cut the radiographs out of screenshots.
    make_osteosarcoma_cohort : A synthetic cohort of the same form.
    skosfusion.preprocessing.make_clinical_transformer : Normalize the clinical columns.

    Notes
    -----
    Errors count rows from 0. A DataFrame whose rows were selected keeps its index of increasing
    numbers, and errors name rows by it. Rows of stacked tables are named with their table, "3 of
    'b.csv'".

    Of a Parquet file, columns of lists, structs and bytes are left out.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import pandas as pd
    >>> from skosfusion.datasets import TargetColumn, load_cohort
    >>> images = pd.DataFrame({"file": ["knee.png", "shin.png"], "record": ["007", "008"]})
    >>> records = pd.DataFrame(
    ...     {"record": ["007", "008"], "age": [14, 15], "finding": ["Tumor, left", "bruise"]}
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in images["file"]:
    ...         pathlib.Path(folder, name).touch()
    ...     cohort = load_cohort(
    ...         images,
    ...         records,
    ...         image_folder=folder,
    ...         columns={
    ...             "image": "file",
    ...             "patient_id": "record",
    ...             "target": TargetColumn("finding", positive="tumor*"),
    ...         },
    ...     )
    >>> cohort.data[["patient_id", "age"]]
      patient_id   age
    0        007  14.0
    1        008  15.0
    >>> cohort.target.tolist()
    [1, 0]
    >>> print(cohort.DESCR.splitlines()[2])
    Labels: 0 (not tumor*): 'bruise' 1; 1 (tumor*): 'Tumor, left' 1
    """
    check_parameter("na_values", na_values, are_values(na_values), ALLOWED_NA_VALUES)
    is_bool = isinstance(keep_empty_inputs, bool)
    check_parameter("keep_empty_inputs", keep_empty_inputs, is_bool, "True or False")
    missing = MISSING.union(spelling(value) for value in na_values)
    folder = folder_of(image_table, image_folder)
    if folder is None:
        where = "a DataFrame of unknown origin"
        if isinstance(image_table, list | tuple):
            where = "a list of tables that do not lie in one folder"
        raise ValueError(
            f"image_folder=None is not allowed where image_table is {where}; give the folder "
            "that the image paths are relative to"
        )
    columns = {} if columns is None else columns
    tables = _open_tables(image_table, clinical_table, missing, columns)
    problems = Problems()
    columns, absent = complete_columns(columns, tables, problems)
    image, patient, target = (columns.pop(name) for name in ("image", "patient_id", "target"))
    kept = {name: columns.pop(name) for name in list(columns) if _is_kept(columns[name])}
    used = [image, patient, target, *columns.values(), *kept.values()]
    empty = {} if keep_empty_inputs else leave_out_empty(columns, tables)
    names = labels = None
    with problems.collected():
        names = image._names(tables[0], problems)
    records = join_tables(tables[0], tables[1:], patient, problems)
    data = _read_inputs(records, columns, problems)
    kept_data = _read_kept(records, kept, data, target, problems)
    _check_target(target, data, [image, patient, *columns.values()])
    with problems.collected():
        labels, n_images, description = target._labels(records)
    with problems.collected():
        if names is not None:
            data["image"] = image._find(names, folder)
    _raise_any(problems, data, columns)
    leaks = patient._leak_text(records.numbers_as_written)
    if leaks:
        warnings.warn(leaks, LeakageWarning, stacklevel=2)

    near = near_names(absent, tables, used)
    notes = [note for table in tables for note in table.notes]
    for note in notes + list(empty.values()) + records.notes + note_near_names(near):
        warnings.warn(note, UserWarning, stacklevel=2)
    data = pd.DataFrame({"image": data.pop("image"), **data}, index=records.patients.index)
    data = data.reset_index(drop=True)
    kept_data = pd.DataFrame(kept_data, index=records.patients.index).reset_index(drop=True)
    data.attrs[CHECKED] = list(columns)
    labels = labels.reset_index(drop=True)
    steps = _flow(tables[0].cells, records, patient, image, data)
    flow = as_table(steps)
    frame = pd.concat([data, kept_data], axis=1).assign(**{target.column: labels})
    frame.attrs = data.attrs | {KEPT: list(kept), FLOW: steps}
    _logger.info("%d images loaded", len(data))
    inputs = inputs_of(columns)
    return Cohort(
        data=data,
        target=labels.to_numpy(),
        groups=data["patient_id"].to_numpy(dtype=object),
        kept=kept_data,
        frame=frame,
        flow=flow,
        target_names=list(n_images),
        DESCR=_describe(
            data,
            description,
            columns,
            absent,
            empty,
            kept,
            _unread(tables, used),
            patient,
            flow,
            tables,
        ),
        inputs=inputs,
        kits=inputs["kits"],
        numbers=inputs["numbers"],
        categories=inputs["categories"],
    )


def _open_tables(image_table, clinical_table, missing, columns):
    """Return the table of images, and those with a record for each patient."""
    tables, problems, texts = [], Problems(), columns_of_text(columns)
    for source, kind in ((image_table, "image table"), (clinical_table, "clinical table")):
        if kind == "image table" or source is not None:
            with problems.collected():
                opened = open_tables(source, kind, missing, texts)
                tables += split_by_images(opened, texts[0]) if kind == "image table" else opened
    problems.raise_any()
    return tables


def _raise_any(problems, data, columns):
    """Raise what is wrong, with what could be read: whoever lists all problems goes on with it."""
    try:
        problems.raise_any()
    except Exception as error:
        data = {name: cells for name, cells in data.items() if cells is not None}
        known = {name: what for name, what in columns.items() if name in data}
        error.readable = pd.DataFrame(data).reset_index(drop=True), inputs_of(known)
        raise


def _read_inputs(records, columns, problems):
    """Return the record numbers and clinical values, one row per image."""
    data = {"patient_id": records.patients}
    ours = [name for name in ("gender", "age") if name in columns]
    for name in ours + [name for name in columns if name not in ours]:
        read = {}
        with problems.collected():
            read = columns[name]._read(records, name)
        for new, cells in read.items():
            check_parameter("name of a kit", name, new not in data, "a name that is not taken")
            data[new] = cells
    return data


def _is_kept(column):
    return isinstance(column, KeptColumn)


def _read_kept(records, columns, data, target, problems):
    """Return the columns that are kept beside the inputs, one row per image."""
    kept = {}
    for name, column in columns.items():
        valid = name not in data and name not in ("image", target.column)
        allowed = "a name that neither an input nor the labels have"
        check_parameter("name of a kept column", name, valid, allowed)
        with problems.collected():
            kept |= column._read(records, name)
    return kept


def _flow(cells, records, patient, image, data):
    """Return the steps from the rows of the image table to those of the cohort."""
    steps = steps_of(cells, patient.column)
    left = len(data), int(data["patient_id"].nunique())
    if records.n_without_image:
        reason = "clinical records without an image"
        n_records = records.n_without_image
        steps.append(next_step(steps[-1], "load_cohort", reason, *left, n_records))
    n_missing = int(data["image"].isna().sum())
    if n_missing:
        reason = f"{n_missing} rows without an image, kept ({image!r})"
        steps.append(next_step(steps[-1], "load_cohort", reason, *left))
    steps.append(next_step(steps[-1], "load_cohort", "rows of the cohort", *left))
    return steps


def _unread(tables, used):
    """Return the columns of the tables that nothing was read from."""
    read = {name for column in used for name in column._columns}
    columns = dict.fromkeys(name for table in tables for name in table.cells.columns)
    return [str(name) for name in columns if name not in read]


def _check_target(target, data, inputs):
    """Raise ValueError if the labels would take the name or the place of an input."""
    taken = {"image", *data, *(name for column in inputs for name in column._columns)}
    allowed = "a column that is not an input, too"
    check_parameter("target", target.column, target.column not in taken, allowed)


def _describe(data, labels, columns, absent, empty, kept, unread, patient, flow, tables):
    readings = [reading for table in tables for reading in table.readings if reading]
    gaps = data.isna().sum()
    return _DESCR.format(
        n_images=int(data["image"].notna().sum()),
        n_patients=data["patient_id"].nunique(),
        labels=labels,
        inputs=", ".join(columns) or "none",
        absent=", ".join(absent) or "none",
        empty="".join(f"\nInput left out, without any value: {name}" for name in empty),
        missing=", ".join(f"{name} {count}" for name, count in gaps[gaps > 0].items()) or "none",
        kept=", ".join(kept) or "none",
        unread=", ".join(unread) or "none",
        read="".join(f"Read: {reading.sentence}\n" for reading in readings),
        patients=f"Patients: {patient._describe()}\n" if patient._describe() else "",
        flow=describe_flow(flow),
    )
