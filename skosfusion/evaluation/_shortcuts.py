"""Whether something beside the disease tells the label."""

import warnings
from collections.abc import Iterable
from numbers import Real

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils import Bunch, check_consistent_length, check_random_state

from .._utils.groups import codes_of, complete_column
from .._utils.validation import check_integer, check_parameter, shown
from ..exceptions import ShortcutWarning
from ._shortcut_columns import (
    check_column,
    check_times,
    columns_to_audit,
    shortcut_columns,
    time_table,
)
from ._shortcut_scores import FEWEST, PatientScores, encode

_FOLDS, _REPEATS = 5, 4
# Patients from which on the figures no longer depend on how the folds fall.
_MANY = 5000


def audit_shortcuts(
    frame,
    y,
    *,
    groups,
    columns=None,
    cv=None,
    image_column="image",
    times=None,
    level=0.55,
    n_resamples=2000,
    confidence_level=0.95,
    random_state=None,
):
    """Find what tells the label beside the disease: files, edges, gaps, sites, projections.

    A network that is given images may learn these instead of the disease, and its scores say
    nothing of a place where they are otherwise. So each is asked alone: a logistic regression on
    the ranks of numbers and their squares, and on columns of 0 and 1 for categories, is fitted, out
    of fold, and the area under its ROC curve is found by patient, with an interval.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        One row for each image, such as ``cohort.frame``.
    y : array-like of shape (n_rows,)
        Labels of two classes.
    groups : array-like of shape (n_rows,)
        Patient of each row, such as ``cohort.groups``.
    columns : list of str or None, default=None
        Columns that are asked alone: site, projection, scanner, dates. None takes those that
        :func:`~skosfusion.datasets.load_cohort` kept (`KeptColumn`), which are known in
        ``cohort.frame`` alone: name them for a merge or another table. `DESCR` says which were
        asked.
    cv : int, splitter, iterable or None, default=None
        The folds, which must keep patients together and be those of the model, if there is one. An
        int is the number of folds of a ``StratifiedGroupKFold``, shuffled four times over,
        once from 5000 patients on; None takes 5 folds, fewer where a class has fewer patients.
    image_column : str or None, default="image"
        Column of the image files, each of which is read once; rows without one are NaN. None reads
        no file.
    times : dict or None, default=None
        What was measured when: ``{"image": ("acquired", "diagnosed")}`` compares two columns of
        dates, or of numbers, of which the second is the time of the outcome. None in place of the
        first is the time 0, that of the image, where offsets count from it. Times of outcomes are
        no shortcuts and are not asked.
    level : float, default=0.55
        A shortcut is warned of where the lower end of its interval is above this AUC, 0.5 to 1.
    n_resamples : int, default=2000
        Resamples of patients, at least 100.
    confidence_level : float, default=0.95
        Of each interval by itself, between 0 and 1.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds and of the resamples. None takes a new one each time.

    Returns
    -------
    sklearn.utils.Bunch
        table : DataFrame
            One line for each shortcut: "what", "columns" (a list), "n" (patients tested), "auc",
            "low" and "high" (NaN with fewer than 10 patients of a class, or nothing to tell
            by), "warns", and a "note".
        time : DataFrame
            One line for each entry of `times`: "what", "n_known" (rows with both times), "n_after"
            and "share_after" (measured after the outcome), "n_same" (at the same time).
        DESCR : str
            All of it, for people.

    Raises
    ------
    ValueError
        For a column that is not there; labels of other than two classes; groups or labels of
        another length; folds that part a patient, train on one class or test no pair of both;
        and an argument out of its set.
    TypeError
        For a frame of another type.
    FileNotFoundError, ImageError
        For an image that is not there, or cannot be used.

    Warns
    -----
    ShortcutWarning
        If the lower end of an interval is above `level`; it names all such shortcuts.

    See Also
    --------
    skosfusion.check_leakage : Patients and images in both the training and the test set.
    skosfusion.datasets.KeptColumn : Keep a column for this.

    Notes
    -----
    The score of a patient is the mean of the log-odds of its images; a patient with images of both
    labels counts once for each. Only pairs of one fold are compared, since scores of two models are
    not on one scale. Images weigh so much that each patient weighs 1. Patients are resampled by
    label, the interval is symmetric on the scale of the logit, with a t quantile of the smaller
    class; an AUC of 0 or 1 has that of `evaluate_scores`. Ranks are taken of all rows, without
    labels.

    A low figure is no proof: what only the pixels show (tubes, markers, letters), or two columns
    together, is not asked. Each interval holds by itself: of forty, one lies above 0.5 by chance.

    References
    ----------
    .. [1] A. J. DeGrave, J. D. Janizek, S.-I. Lee, "AI for radiographic COVID-19 detection selects
       shortcuts over signal", Nature Machine Intelligence 3 (2021) 610.
    .. [2] J. R. Zech et al., "Variable generalization performance of a deep learning model to
       detect pneumonia in chest radiographs", PLOS Medicine 15 (2018) e1002683.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skosfusion import audit_shortcuts
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 80)
    >>> site = np.where(rng.random(80) < 0.2, "north", np.where(y == 1, "south", "east"))
    >>> frame = pd.DataFrame({"site": site, "day": rng.integers(0, 365, 80)})
    >>> audit = audit_shortcuts(
    ...     frame,
    ...     y,
    ...     groups=np.arange(80),
    ...     columns=["site", "day"],
    ...     image_column=None,
    ...     level=0.99,
    ...     random_state=0,
    ... )
    >>> audit.table.set_index("what")["auc"].round(1).to_dict()
    {'number of images': 0.5, 'site': 1.0, 'day': 0.6}
    """
    _check_parameters(level, n_resamples, confidence_level)
    frame = _checked_frame(frame, image_column)
    outcomes = check_times(frame, times)
    are_named = columns is not None
    columns = columns_to_audit(frame, columns, image_column, outcomes)
    labels, classes = _labels(y, frame)
    check_consistent_length(frame, groups)
    patients, _ = codes_of(complete_column(groups, "patient"), "patient")
    # None is numpy's own state to scikit-learn, which others may have seeded.
    random_state = np.random.RandomState() if random_state is None else random_state
    random_state = check_random_state(random_state)
    folds = _folds(cv, labels, patients, random_state)
    scores = PatientScores(labels, patients, folds)
    candidates = shortcut_columns(frame, patients, columns, image_column, outcomes)
    table = _table(candidates, scores, level, n_resamples, confidence_level, random_state)
    time = time_table(frame, times or {})
    warning = table[table["warns"]]
    if len(warning):
        warnings.warn(_warning_text(warning, level), ShortcutWarning, stacklevel=2)
    text = _describe(table, time, scores, classes, level, confidence_level)
    text += f"\n{_columns_in_words(columns, are_named)}"
    return Bunch(table=table, time=time, DESCR=text)


def _columns_in_words(columns, are_named):
    """Say which columns of the table were asked, and how others could be."""
    listed = ", ".join(map(str, columns)) or "none"
    if are_named:
        return f"Columns of the table: {listed}, as named in columns=."
    return (
        f"Columns of the table: {listed}. Those that load_cohort kept are known in cohort.frame "
        "itself alone; a merge or another table made of it has lost them: name them in columns=."
    )


def _check_parameters(level, n_resamples, confidence_level):
    valid = _is_real(level) and 0.5 <= level <= 1
    check_parameter("level", level, valid, "an AUC from 0.5 to 1")
    check_integer("n_resamples", n_resamples, minimum=100)
    valid = _is_real(confidence_level) and 0 < confidence_level < 1
    check_parameter("confidence_level", confidence_level, valid, "a number between 0 and 1")


def _is_real(value):
    return isinstance(value, Real) and not isinstance(value, bool)


def _checked_frame(frame, image_column):
    """Return a frame with rows from 0, after checking that it has the column of images."""
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"frame must be a DataFrame, got {type(frame).__name__}")
    twice = frame.columns[frame.columns.duplicated()].tolist()
    if twice:
        raise ValueError(f"frame has more than one column named {twice[0]!r}; rename one of them")
    if image_column is not None:
        check_column(frame, image_column, "image_column")
    return frame.reset_index(drop=True)


def _labels(y, frame):
    """Return labels as 0 and 1, and the two classes."""
    check_consistent_length(frame, y)
    codes, classes = codes_of(complete_column(y, "label"), "label")
    if len(classes) != 2:
        listed = shown(classes, "class", repr).replace("classs", "classes")
        raise ValueError(
            f"y has {listed}, and two are needed; for more, ask for each against the others, as in "
            "y == label"
        )
    order = sorted(range(2), key=lambda code: classes[code])
    return np.argsort(order)[codes], [_plain(classes[code]) for code in order]


def _plain(label):
    return label.item() if isinstance(label, np.generic) else label


def _folds(cv, labels, patients, random_state):
    """Return the folds as arrays of row numbers, which keep patients together."""
    n_repeats = 1
    if cv is None or (isinstance(cv, int) and not isinstance(cv, bool)):
        n_repeats = _REPEATS if patients.max() < _MANY else 1
        pairs = np.unique(np.column_stack([patients, labels]), axis=0)
        most = int(np.bincount(pairs[:, 1], minlength=2).min())
        if most < 2:
            raise ValueError("a class has images of one patient only; two are needed for folds")
        n_folds = min(_FOLDS, most) if cv is None else cv
        check_parameter("cv", cv, 2 <= n_folds <= most, f"2 to {most} folds, or None")
        cv = StratifiedGroupKFold(n_folds, shuffle=True, random_state=random_state)
    if hasattr(cv, "split"):
        X = np.zeros((len(labels), 1))
        cv = [fold for _ in range(n_repeats) for fold in cv.split(X, labels, patients)]
    check_parameter("cv", cv, isinstance(cv, Iterable), "an int, a splitter, folds, or None")
    rows = np.arange(len(labels))
    folds = [(rows[np.asarray(train)], rows[np.asarray(test)]) for train, test in cv]
    for number, (train, test) in enumerate(folds):
        both = np.intersect1d(patients[train], patients[test])
        if len(both):
            row = test[np.isin(patients[test], both)][0]
            raise ValueError(
                f"fold {number} of cv has {len(both)} patients in both the training and the test "
                f"set, the first in row {row}; split by patient, as StratifiedGroupKFold does"
            )
        if len(np.unique(labels[train])) < 2:
            raise ValueError(f"fold {number} of cv trains on one class only; use fewer folds")
    if not any(len(np.unique(labels[test])) == 2 for _, test in folds):
        raise ValueError("no fold of cv tests patients of both classes; use fewer folds")
    return folds


def _table(candidates, scores, level, n_resamples, confidence_level, random_state):
    """Return the line of each shortcut."""
    tested = {}
    for what, columns in candidates.items():
        design = encode(columns)
        tested[what] = None if design is None else scores.log_odds(design)
    asked = [one for one in tested.values() if one is not None]
    enough = scores.n_smaller >= FEWEST
    drawn = scores.resampled(asked, n_resamples, random_state) if enough and asked else []
    drawn = iter(drawn)
    lines = []
    for what, columns in candidates.items():
        auc, low, high, note = 0.5, np.nan, np.nan, "the same in all rows"
        n_patients = scores.n_patients
        if tested[what] is not None:
            units = np.unique(np.concatenate([units for units, _ in tested[what]]))
            n_patients = len(np.unique(scores.patient[units]))
            auc = float(scores.auc(tested[what])[0])
            note = "" if enough else f"fewer than {FEWEST} patients of a class: no interval"
            if enough:
                low, high = scores.interval(auc, next(drawn), confidence_level)
        names = [str(column.name) for column in columns]
        lines.append((what, names, n_patients, auc, low, high, bool(low > level), note))
    names = ["what", "columns", "n", "auc", "low", "high", "warns", "note"]
    return pd.DataFrame(lines, columns=names)


def _figures(row):
    if np.isnan(row.low):
        return f"{row.auc:.2f}" + (f" ({row.note})" if row.note else "")
    return f"{row.auc:.2f} [{row.low:.2f}, {row.high:.2f}]"


def _warning_text(table, level):
    listed = ", ".join(f"{row.what} {_figures(row)}" for row in table.itertuples())
    return (
        f"the label can be told, with an AUC by patient above {level:g}, by each of these alone: "
        f"{listed}; a model of the images may have learned these. Compare it with them, test it "
        "where they are balanced or on another site, and see docs/shortcuts.md"
    )


def _describe(table, time, scores, classes, level, confidence_level):
    """Return the audit in words."""
    n_asked = int(table["low"].notna().sum())
    by_chance = n_asked * (1 - confidence_level) / 2
    lines = [
        f"Shortcuts that tell {classes[1]!r} from {classes[0]!r}: AUC by patient, out of fold",
        f"{len(scores.y)} images of {scores.n_patients} patients, {len(scores.folds)} folds in all",
        "",
    ]
    for row in table.itertuples():
        lines.append(f"- {row.what}: {_figures(row)}{'  WARNS' if row.warns else ''}")
    lines += [
        "",
        f"{n_asked} intervals of {confidence_level:.0%} each: by chance alone, {by_chance:.1f} of "
        f"them would lie above 0.5. Warned of above {level:g}: {int(table['warns'].sum())}.",
    ]
    for row in time.itertuples():
        lines.append(
            f"Time: {row.what} was measured after the outcome in {row.n_after} of {row.n_known} "
            f"rows where both are known, and at the same time in {row.n_same}"
        )
    if not len(time):
        lines.append("Time: not checked, since no times were declared")
    return "\n".join(lines)
