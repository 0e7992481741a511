"""Whether a model is about to be tested on what it has been trained on."""

import warnings
from collections.abc import Hashable
from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, check_consistent_length

from .._utils.groups import codes_of, complete_column
from .._utils.validation import check_choice, check_integer, check_parameter, did_you_mean
from ..exceptions import LeakageWarning
from ..images import ReadOptions, read_options
from ._folds import (
    PATIENT_COLUMN,
    in_both_sets,
    patients_of,
    row_numbers,
    split_rows,
)
from ._leakage_report import NOT_CHECKED, describe, leak_text
from ._pixels import image_codes, image_names

_TARGET = "diagnosis"
_IMAGE = "image"
_IMAGE_OPTIONS = sorted(set(ReadOptions._fields) - {"image_size"})


def check_leakage(
    frame,
    groups=None,
    cv=None,
    *,
    target="diagnosis",
    image="image",
    image_options=None,
    on_leak="warn",
    n_threads=None,
    verbose=1,
):
    """Find patients and images in both the training and the test set, before anything is trained.

    A model that is tested on patients or images it has been trained on gets scores that are too
    good. Found are patients in both sets of a fold; images that are in the table more than once,
    under other names, labels or patients perhaps, and those in both sets of a fold; and patients
    with two labels.

    Parameters
    ----------
    frame : DataFrame of shape (n_samples, n_features)
        One row for each image, such as ``cohort.frame``.
    groups : array-like of shape (n_samples,) or None, default=None
        Patient of each row. None: column ``patient_id`` of `frame` where there is one, else each
        row is a patient.
    cv : int, splitter, iterable or None, default=None
        What will be passed to ``cross_validate``, read as it does for a classifier: an int makes
        stratified folds that do *not* keep patients together. A splitter gets the patients. None
        checks no split.
    target : str, array-like of shape (n_samples,) or None, default="diagnosis"
        Labels, or their column. Without it, or where `frame` has no column of the default name, no
        labels are checked.
    image : str or None, default="image"
        Column of the image files. With None, or where `frame` has no column of the default name, no
        image is read.
    image_options : dict or None, default=None
        Options of `skosfusion.images.read_image` but for ``image_size``, such as those of a
        `FusionClassifier`.
    on_leak : {"warn", "error", "ignore"}, default="warn"
        What to do about a leak.
    n_threads : int or None, default=None
        Threads that decode images; None for as many as there are cores.
    verbose : int, default=1
        0 shows no bar; others show one if images take more than three seconds.

    Returns
    -------
    sklearn.utils.Bunch
        leaks : bool
            Whether a patient or an image is in both the training and the test set of a fold.
            Without a split: whether rows of several patients show one image, which a split by
            patient tears apart.
        n_folds : int
            Folds that were checked.
        n_leaking_patients, n_leaking_images : int
            Patients and images in both the training and the test set of any fold.
        patients_in_both : DataFrame
            "fold" (counted from 0) and "patient".
        images_in_both : DataFrame
            "fold" and "image_id".
        repeated_images : DataFrame
            One line for each row of `frame` whose image is in other rows, too: "image_id" (a
            number, the same for equal images), "row" (position in `frame`), "image" (path),
            "patient" and "label" of that row; then what holds for the image: "several_names",
            "several_patients", "several_labels" and "in_both".
        patients_with_two_labels : DataFrame
            "patient", "label" and "n_rows", one line for each label of a patient who has several.
        DESCR : str
            What was checked and found, for people; names at most five of each.

    Raises
    ------
    ValueError
        For an empty table; a named column that is not there; a row without a patient or label;
        `groups` or `target` of another length; folds that are no rows of the table; an int for `cv`
        without labels, which it would stratify by; a leak, with ``on_leak="error"``.
    TypeError
        If `frame` is not a DataFrame, or a path is neither a str nor an os.PathLike.
    FileNotFoundError, ImageError
        For an image that cannot be read, as `skosfusion.images.read_image` does, with its row.

    Warns
    -----
    LeakageWarning
        Once for all leaks, with ``on_leak="warn"``.

    Notes
    -----
    An image is known by its decoded pixels at full size. One that was saved again without loss,
    with other metadata, or gray as RGB, is the same; one that was resized, cropped, or saved as
    JPEG again is another and is not found. All files are read and decoded once; rows without a path
    are passed over.

    A random splitter without a `random_state` splits differently each time: what is checked is not
    what ``cross_validate`` will do. Give it one, or pass the folds, ``list(cv.split(...))``, to
    both. Positions count, not the index of `frame`.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.model_selection import GroupKFold
    >>> from skosfusion import check_leakage
    >>> frame = pd.DataFrame({"patient_id": ["a", "a", "b", "b"], "diagnosis": [1, 1, 0, 0]})
    >>> check_leakage(frame, cv=GroupKFold(2)).leaks
    False
    >>> found = check_leakage(frame, cv=2, on_leak="ignore")
    >>> found.patients_in_both["patient"].unique().tolist()
    ['a', 'b']
    """
    _check(frame, image_options, on_leak, n_threads)
    patients = patients_of(frame, groups)
    is_known = groups is not None or PATIENT_COLUMN in frame.columns
    labels = _labels(frame, target)
    paths = None if image is None else _column(frame, image, "image", _IMAGE)
    names = None if paths is None else image_names(paths)
    folds = _folds(cv, frame, labels, patients if is_known else None)
    images = np.full(len(frame), -1)
    if names is not None:
        options = read_options(image_size=None, **(image_options or {}))
        images = image_codes(names, options, n_threads=n_threads, verbose=verbose)

    codes, known = codes_of(patients, "patient")
    shared = in_both_sets(codes, folds)
    shared["patient"] = known[shared.pop("code")]
    images = _only_repeated(images)
    shared_images = in_both_sets(images, folds).rename(columns={"code": "image_id"})
    found = Bunch(
        n_folds=len(folds),
        n_leaking_patients=shared["patient"].nunique(),
        n_leaking_images=shared_images["image_id"].nunique(),
        patients_in_both=shared,
        images_in_both=shared_images,
        repeated_images=_repeated(images, names, patients, labels, shared_images),
        patients_with_two_labels=_two_labels(patients, labels),
    )
    found.leaks = bool(
        found.repeated_images["several_patients"].any()
        if cv is None
        else found.n_leaking_patients + found.n_leaking_images
    )
    who = "patient" if is_known else "row"
    found.DESCR = describe(
        found,
        {
            "rows": str(len(frame)),
            "patients": str(len(known))
            if is_known
            else f"not known (no {PATIENT_COLUMN!r}): each row counts as one",
            "folds": f"{NOT_CHECKED} (cv=None)" if cv is None else str(len(folds)),
            "labels": _not_checked("target", target)
            if labels is None
            else str(len(pd.unique(labels))),
            "images": _not_checked("image", image) if names is None else _count_files(names),
        },
        who,
    )
    if found.leaks and on_leak != "ignore":
        text = leak_text(found, who)
        if on_leak == "error":
            raise ValueError(text)
        warnings.warn(text, LeakageWarning, stacklevel=2)
    return found


def _check(frame, image_options, on_leak, n_threads):
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(
            f"frame must be a DataFrame with one row for each image, got {type(frame).__name__}"
        )
    if not len(frame):
        raise ValueError("frame has no rows; give at least one")
    check_choice("on_leak", on_leak, ("warn", "error", "ignore"))
    check_integer("n_threads", n_threads, minimum=1, optional=True)
    check_parameter(
        "image_options",
        image_options,
        image_options is None
        or (isinstance(image_options, dict) and set(_IMAGE_OPTIONS).issuperset(image_options)),
        f"None or a dict of options of skosfusion.images.read_image, {_IMAGE_OPTIONS}",
    )


def _column(frame, name, parameter, default):
    """Return a column; None where there is none of the default name."""
    check_parameter(parameter, name, isinstance(name, Hashable), "a column name, or None")
    if name not in frame.columns:
        if name == default:
            return None
        columns = [str(column) for column in frame.columns]
        raise ValueError(
            f"there is no column {name!r} in frame, for {parameter}; the columns are {columns}; "
            f"name one of them, or give {parameter}=None to leave this out; "
            f"{did_you_mean(name, columns)}".rstrip("; ")
        )
    if isinstance(frame[name], pd.DataFrame):
        raise ValueError(f"frame has more than one column named {name!r}; rename one of them")
    return frame[name]


def _labels(frame, target):
    if target is not None and pd.api.types.is_scalar(target):
        target = _column(frame, target, "target", _TARGET)
    check_consistent_length(frame, target)
    return None if target is None else complete_column(target, "label")


def _folds(cv, frame, labels, patients):
    """Row numbers of the folds that scikit-learn would make."""
    if cv is None:
        return []
    if labels is None and isinstance(cv, Integral):
        raise ValueError(
            f"cv={cv!r} makes folds that are stratified by labels, and there are none; name their "
            "column in target, or give a splitter such as GroupKFold"
        )
    folds = []
    for number, fold in enumerate(split_rows(cv, frame, labels, patients)):
        try:
            train, test = fold
            folds.append((row_numbers(train, len(frame)), row_numbers(test, len(frame))))
        except (IndexError, TypeError, ValueError) as error:
            raise ValueError(
                f"fold {number} of cv does not hold training and test rows of this table of "
                f"{len(frame)} rows ({error}); make the folds on this table, with positions or "
                "masks"
            ) from error
    if not folds:
        raise ValueError("cv holds no folds; give at least one pair of training and test rows")
    return folds


def _only_repeated(images):
    """Give new numbers to the images of several rows, and -1 to the others."""
    counts = np.bincount(images[images >= 0])
    repeated = np.flatnonzero(counts > 1)
    numbers = np.full(len(counts) + 1, -1)
    numbers[repeated] = np.arange(len(repeated))
    return numbers[images]


def _repeated(images, names, patients, labels, shared):
    """List each row with a repeated image, and what else its image goes by."""
    rows = np.flatnonzero(images >= 0)
    rows = rows[np.argsort(images[rows], kind="stable")]
    images = images[rows]
    table = pd.DataFrame(
        {
            "image_id": images,
            "row": rows,
            "image": None if names is None else names[rows],
            "patient": patients[rows],
            "label": None if labels is None else labels[rows],
        }
    )
    for column in ("names", "patients", "labels"):
        values = pd.factorize(table["image" if column == "names" else column[:-1]])[0]
        pairs = _pairs(images, values)
        several = pairs.loc[pairs["n_others"] > 1, "code"]
        table[f"several_{column}"] = np.isin(images, several)
    table["in_both"] = np.isin(images, shared["image_id"])
    return table


def _two_labels(patients, labels):
    if labels is None:
        return pd.DataFrame(columns=["patient", "label", "n_rows"])
    codes, known = codes_of(patients, "patient")
    label_codes, classes = codes_of(labels, "label")
    pairs = _pairs(codes, label_codes)
    pairs = pairs[pairs["n_others"] > 1].reset_index(drop=True)
    return pd.DataFrame(
        {
            "patient": known[pairs["code"]],
            "label": classes[pairs["other"]],
            "n_rows": pairs["n_rows"],
        }
    )


def _pairs(codes, others):
    """Count rows of each pair of codes, and the different others that each code goes with."""
    pairs = pd.DataFrame({"code": codes, "other": others})
    pairs = pairs.groupby(["code", "other"]).size().reset_index(name="n_rows")
    return pairs.assign(n_others=pairs.groupby("code")["other"].transform("size"))


def _not_checked(parameter, value):
    reason = f"{parameter}=None" if value is None else f"no column {value!r}"
    return f"{NOT_CHECKED} ({reason})"


def _count_files(names):
    n_missing = int(pd.isna(names).sum())
    files = f"{len(names) - n_missing} rows, read to the last pixel"
    return files + (f"; {n_missing} without an image are passed over" if n_missing else "")
