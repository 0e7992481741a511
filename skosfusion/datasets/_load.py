"""Load a cohort of one's own: a table of images, joined with a table of clinical records."""

import difflib
import logging
import numbers
import os
from collections.abc import Hashable

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from .._utils.cells import MISSING, spelling
from .._utils.validation import check_choice, check_parameter
from ..preprocessing import PAPER_KITS, check_kits
from ._image_files import check_digests, check_names, crop_images, find_images, is_screenshot
from ._labels import count_classes, read_labels, refuse_conflicts
from ._records import join_tables
from ._tables import open_table

_logger = logging.getLogger(__name__)

_DESCR = """\
{n_images} images of {n_patients} patients, loaded from the user's own tables.

Labels: {labels}
Missing values: {missing}
Screenshots: {screenshots}
"""


def load_cohort(
    image_table,
    clinical_table=None,
    *,
    image_folder=None,
    columns=None,
    kits=None,
    target="diagnosis",
    positive=None,
    na_values=(),
    label_conflicts="error",
    screenshot_pattern=None,
    screenshots="exclude",
    crop_box=None,
    outside_links="error",
    missing_images="error",
    data_home=None,
):
    """Load images and clinical values of a cohort from tables, one row per image.

    Everything is checked before anything is returned: columns, numbers, record numbers, labels, and
    that each image file is there. The files themselves are decoded later, by the classifier.

    Parameters
    ----------
    image_table : path-like or DataFrame
        One row per image. A path is read as Parquet if it ends in ``.parquet`` or ``.pq``, else as
        CSV in UTF-8, separated by commas, whose cells stay text until their column is known.
    clinical_table : path-like, DataFrame or None, default=None
        One row per patient, joined to the images by record number. With None, the image table holds
        the clinical values too.
    image_folder : path-like or None, default=None
        Folder that the image paths are relative to. None takes that of `image_table`; to be given
        where this is a DataFrame.
    columns : dict or None, default=None
        Your column for each of our names, where they differ: "image", "patient_id" (the record
        number, of one name in both tables), "gender", "age" (in years), the columns named in
        `kits`, `target`, and "sha256" (see Notes).
    kits : dict or None, default=None
        Laboratory values: name to ``(value, low, high)``, a column and the limits of the normal
        range, both columns or both numbers. None takes those of the paper that are there,
        ``{"alp": ("alp", "alp_low", "alp_high"), "ldh": ("ldh", "ldh_low", "ldh_high")}``.
    target : str, default="diagnosis"
        Column of the labels, in either table.
    positive : str or None, default=None
        Text that marks a label as positive, wherever in the label and in whichever case it occurs;
        plain text, not a regular expression. The target is then 1 or 0. None leaves the labels as
        they are; text of which every cell is a number becomes numbers.
    na_values : sequence of str or number, default=()
        What else stands for a missing value in any column, beside empty cells and "NA", "N/A",
        "NaN", "None" and "null". Case does not matter.
    label_conflicts : {"error", "keep"}, default="error"
        What becomes of a patient whose images have different labels.
    screenshot_pattern : str or None, default=None
        Shell-style pattern such as ``"*_screen.png"`` for the names (without folders) of images
        that are screenshots of a whole desktop; case matters.
    screenshots : {"exclude", "crop"}, default="exclude"
        What becomes of screenshots: they are left out before their rows are read any further, or
        replaced by copies cropped at `crop_box`.
    crop_box : tuple of four int or None, default=None
        Left, top, right and bottom of the radiograph in a screenshot, in pixels from its top left
        corner; right and bottom are the first column and row that are left off.
    outside_links : {"error", "allow"}, default="error"
        Whether a symbolic link may lead out of the image folder.
    missing_images : {"error", "keep"}, default="error"
        What becomes of rows without an image: with "keep" the path is NaN. That all rows are
        without an image is an error always.
    data_home : path-like or None, default=None
        Folder for cropped copies, which are lossless, named by content, made once, and kept in
        ``cropped`` there. None takes the environment's SKOSFUSION_DATA, else
        ``~/.cache/skosfusion``.

    Returns
    -------
    cohort : Bunch
        data : DataFrame of shape (n_images, n_columns)
            "image" (absolute path) and "patient_id", both text; "gender" (text as it came) and
            "age" (years) where there are such columns; for each kit its name, ``<name>_low`` and
            ``<name>_high`` as float64, in their own unit. NaN where missing.
        target : ndarray of shape (n_images,)
            Labels.
        groups : ndarray of str objects, shape (n_images,)
            Record number of the patient, for splits that keep patients together.
        frame : DataFrame of shape (n_images, n_columns + 1)
            data and the labels, in a column named `target`.
        target_names : list of str
            Names of the classes in their order.
        DESCR : str
            What was loaded, in words.
        kits : dict
            The kits of `data`, for :func:`~skosfusion.preprocessing.make_clinical_transformer`.

    Raises
    ------
    ValueError
        For an argument out of its set; a table that is empty or cannot be read; a column that is
        missing, there twice or in both tables; text or infinity where a number belongs; a missing
        image, record number, label or digest; a record number without or with two clinical
        records; a patient with two labels; an image outside the folder; and a crop box outside its
        image.
    TypeError
        For a table, an image path or a cell of another type.
    FileNotFoundError
        For a table, an image folder or an image that is not there.
    ImageError
        For an image that is a folder, a device, a link to nothing or not of its digest, and for a
        screenshot to crop that cannot be decoded.
    ImportError
        For Parquet without pyarrow.

    See Also
    --------
    make_osteosarcoma_cohort : A synthetic cohort of the same form.
    skosfusion.preprocessing.make_clinical_transformer : Normalise the clinical columns.

    Notes
    -----
    Screenshots are told by file name and cropped at one fixed box as in the paper, section "Data
    collection".

    A column "sha256" of the image table is taken as a manifest: the SHA-256 digest of each file, 64
    hexadecimal digits, as ``sha256sum`` writes them. Each file is read and compared, so that a
    single changed bit is noticed in any format. Changes after loading are not.

    Of a Parquet file, columns of lists, structs and bytes are left out.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import pandas as pd
    >>> from skosfusion.datasets import load_cohort
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pathlib.Path(folder, "knee.png").touch()
    ...     images = pd.DataFrame({"image": ["knee.png"], "patient_id": ["007"]})
    ...     records = pd.DataFrame({"patient_id": ["007"], "age": [14], "diagnosis": ["Tumour"]})
    ...     cohort = load_cohort(images, records, image_folder=folder)
    >>> cohort.data[["patient_id", "age"]]
      patient_id   age
    0        007  14.0
    >>> cohort.target.tolist()
    ['Tumour']
    """
    check_choice("label_conflicts", label_conflicts, ("error", "keep"))
    check_choice("outside_links", outside_links, ("error", "allow"))
    check_choice("missing_images", missing_images, ("error", "keep"))
    valid = positive is None or (isinstance(positive, str) and positive != "")
    check_parameter("positive", positive, valid, "a text to look for, or None")
    check_parameter("na_values", na_values, _are_values(na_values), "a list of texts or numbers")
    check_parameter("target", target, isinstance(target, str), "the name of a column")
    valid = columns is None or isinstance(columns, dict)
    valid = valid and all(isinstance(column, Hashable) for column in (columns or {}).values())
    check_parameter("columns", columns, valid, "a dict of our names to yours")
    _check_screenshots(screenshots, screenshot_pattern, crop_box)

    names = dict(columns or {})
    images = open_table(image_table, "image table", names)
    clinical = None
    if clinical_table is not None:
        clinical = open_table(clinical_table, "clinical table", names)
    folder = _image_folder(image_table, image_folder)
    missing = MISSING.union(spelling(value) for value in na_values)
    kits = _find_kits(kits, [images] if clinical is None else [images, clinical])
    _check_columns(names, kits, target)

    files = check_names(images, missing, missing_images)
    shots = is_screenshot(files, screenshot_pattern)
    n_excluded = 0
    if screenshots == "exclude" and shots.any():
        n_excluded = int(shots.sum())
        if n_excluded == len(shots):
            raise ValueError(
                f"screenshot_pattern={screenshot_pattern!r} excludes all {n_excluded} images; "
                "correct it, or use screenshots='crop'"
            )
        images, files, shots = images.select(~shots), files[~shots], shots[~shots]
    if files.isna().all():
        raise ValueError(f"column {images.column_of('image')!r} has no image in any row; give some")

    records = join_tables(images, clinical, missing)
    data = _read_data(records, kits)
    parts = (part for kit in kits.values() for part in kit)
    inputs = {images.column_of(name) for name in ("image", *data, *parts)}
    valid = target not in data and images.column_of(target) not in inputs
    check_parameter("target", target, valid, "a column that is not an input, too")
    labels = read_labels(records, target, positive)
    n_images = count_classes(labels, positive)
    if label_conflicts == "error":
        refuse_conflicts(labels, records.patients)
    paths = find_images(
        files, folder, column=images.column_of("image"), outside_links=outside_links
    )
    if images.has("sha256") or "sha256" in names:
        check_digests(paths, images, missing)
    if shots.any():
        paths = paths.where(~shots, crop_images(paths[shots], tuple(crop_box), data_home))

    data.insert(0, "image", paths)
    data = data.reset_index(drop=True)
    labels = labels.reset_index(drop=True)
    description = _describe(data, n_images, n_excluded, n_cropped=int(shots.sum()))
    _logger.info("%d images loaded, %d screenshots excluded", len(data), n_excluded)
    return Bunch(
        data=data,
        target=labels.to_numpy(),
        groups=data["patient_id"].to_numpy(dtype=object),
        frame=data.assign(**{target: labels}),
        target_names=list(n_images),
        DESCR=description,
        kits={name: (name, f"{name}_low", f"{name}_high") for name in kits},
    )


def _are_values(na_values):
    """Tell whether this is a list or the like of texts and numbers."""
    return (
        np.iterable(na_values)
        and not isinstance(na_values, str | bytes | dict)
        and all(isinstance(value, str | numbers.Real) for value in na_values)
    )


def _check_screenshots(screenshots, pattern, crop_box):
    check_choice("screenshots", screenshots, ("exclude", "crop"))
    allowed = "a shell-style pattern such as '*_screen.png', or None"
    valid = pattern is None or isinstance(pattern, str)
    check_parameter("screenshot_pattern", pattern, valid, allowed)
    if screenshots == "exclude":
        return
    if pattern is None:
        raise ValueError("screenshots='crop' needs a screenshot_pattern that tells which they are")
    valid = (
        isinstance(crop_box, tuple | list)
        and len(crop_box) == 4
        and all(type(edge) is int for edge in crop_box)
        and 0 <= crop_box[0] < crop_box[2]
        and 0 <= crop_box[1] < crop_box[3]
    )
    allowed = "(left, top, right, bottom) in pixels with left < right and top < bottom"
    check_parameter("crop_box", crop_box, valid, allowed)


def _image_folder(image_table, image_folder):
    if image_folder is not None:
        return os.fspath(image_folder)
    if not isinstance(image_table, pd.DataFrame):
        return os.path.dirname(os.fspath(image_table))
    raise ValueError(
        "image_folder=None is not allowed where image_table is a DataFrame; give the folder that "
        "the image paths are relative to"
    )


def _find_kits(kits, tables):
    """Return the kits to read: those asked for, or those of the paper that are in the tables."""
    if kits is not None:
        return check_kits(kits)
    found = {}
    for name, kit in PAPER_KITS.items():
        there = [
            column in tables[0].names or any(table.has(column) for table in tables)
            for column in kit
        ]
        if all(there):
            found[name] = kit
        elif there[0]:
            raise ValueError(
                f"column {tables[0].column_of(kit[0])!r} is there, but the limits of its normal "
                f"range are not; give them as kits={{{name!r}: ({kit[0]!r}, low, high)}}, columns "
                "or numbers, or leave the value out with kits={}"
            )
    return found


def _check_columns(names, kits, target):
    """Raise ValueError for a key of `columns` that nothing asks for."""
    known = ["image", "patient_id", "gender", "age", "sha256", target]
    known += [part for kit in kits.values() for part in kit if isinstance(part, str)]
    for name in names:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        check_parameter("key of columns", name, name in known, f"one of {known}{hint}")


def _read_data(records, kits):
    """Return the record numbers and clinical values, one row per image."""
    data = {"patient_id": records.patients}
    if records.has("gender"):
        data["gender"] = records.texts("gender")
    if records.has("age"):
        data["age"] = records.numbers("age")
    for name, kit in kits.items():
        for new, part in zip((name, f"{name}_low", f"{name}_high"), kit, strict=True):
            check_parameter("name of a kit", name, new not in data, "a name that is not taken")
            data[new] = records.numbers(part) if isinstance(part, str) else float(part)
    return pd.DataFrame(data, index=records.patients.index)


def _describe(data, n_images, n_excluded, n_cropped):
    gaps = data.isna().sum()
    return _DESCR.format(
        n_images=int(data["image"].notna().sum()),
        n_patients=data["patient_id"].nunique(),
        labels=", ".join(f"{name} {count}" for name, count in n_images.items()),
        missing=", ".join(f"{name} {count}" for name, count in gaps[gaps > 0].items()) or "none",
        screenshots=f"{n_excluded} excluded, {n_cropped} cropped",
    )
