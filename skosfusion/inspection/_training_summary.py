"""A summary of what a model was trained on, and what of new rows lies outside of it."""

import numpy as np
import pandas as pd

from .._utils.validation import check_parameter
from ..model_selection import patients_of
from ._fitted import unwrap
from ._raw_inputs import CATEGORY, read_inputs
from ._summary_parts import VERSION, check_arrays, check_description
from ._usual_images import are_colored, far_images, other_colors, read_images, summarize_images
from ._usual_inputs import FEWEST, as_table, outside_inputs, summarize_input


class TrainingSummary:
    """What the rows of a training set had in common, and which new rows lie outside of it.

    `summarize_training` makes it, `save_model` keeps it in the file of a model, and `load_summary`
    reads it. It holds no row, no record number and no path. Each quantile is the mean of five
    patients with five more beyond it, a limit is decided by counts of at least five patients, a
    category is named that at least five patients have, and counts of one to four are told as "at
    most 4".

    Parameters
    ----------
    description : dict
        What JSON can hold, as the attribute of another summary.
    arrays : dict of str to ndarray or None, default=None
        Mean and covariance of the features of images, as the attribute of another summary.

    Attributes
    ----------
    description : dict
        Number of rows and patients, rate, inputs and image; for files.
    arrays : dict of str to ndarray
        Of float32: "mean" of shape (n_features,), "components" of shape (n_directions, n_features)
        with the at most 64 directions of most variance, and "variances" of shape
        (n_directions + 1,), the last of which is that of all other directions. Empty without
        images, with fewer than 20 patients who have images, and where all features are equal. At
        most 0.6 MB for 2,048 features.

    Raises
    ------
    ValueError
        For a description or arrays that are not those of a summary.

    See Also
    --------
    summarize_training : Make one.
    skosfusion.load_summary : Read one from the file of a model.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skosfusion import FusionClassifier, TrainingSummary, summarize_training
    >>> X = pd.DataFrame({"age": np.linspace(5, 20, 60)})
    >>> classifier = FusionClassifier(max_epochs=1, random_state=0).fit(X, np.arange(60) % 2)
    >>> summary = summarize_training(classifier, X)
    >>> again = TrainingSummary(summary.description, summary.arrays)
    >>> again.check(classifier, pd.DataFrame({"age": [12.0, 70.0]}))[["row", "column", "value"]]
       row column value
    0    1    age  70.0
    """

    def __init__(self, description, arrays=None):
        arrays = dict(arrays or {})
        check_description(description)
        self._spread = check_arrays(description, arrays)
        self.description = description
        self.arrays = arrays

    def __repr__(self):
        return (
            f"<TrainingSummary of {self.n_patients} patients, "
            f"{len(self.description['inputs'])} clinical inputs"
            f"{'' if self.description['image'] is None else ' and images'}>"
        )

    @property
    def n_patients(self):
        """Number of patients of the training set."""
        return self.description["n_patients"]

    @property
    def training_rate(self):
        """Share of the training set's patients of whom `check` lists anything, at most."""
        return min(self.description["n_warned"] / max(self.n_patients, 1), 1.0)

    @property
    def table(self):
        """One line for each clinical input: kind, patients, how many lack it, and what is usual."""
        lines = []
        for summary in self.description["inputs"]:
            named = zip(summary.get("names", ()), summary.get("counts", ()), strict=True)
            levels = zip(summary.get("levels", ()), summary.get("quantiles", ()), strict=True)
            lines.append(
                {
                    "column": summary["column"],
                    "kind": summary["kind"],
                    "patients": summary["n_patients"],
                    "missing_at_most": summary["n_missing"],
                    "low": summary.get("low"),
                    "high": summary.get("high"),
                    "quantiles": ", ".join(f"{100 * at:g}%: {value:.4g}" for at, value in levels),
                    "categories": ", ".join(f"{name!r}: {count}" for name, count in named),
                }
            )
        columns = ["column", "kind", "patients", "missing_at_most", "low", "high"]
        table = pd.DataFrame(lines, columns=[*columns, "quantiles", "categories"])
        return table.set_index("column")

    def check(self, estimator, X):
        """List what lies outside of what the model was trained on.

        Parameters
        ----------
        estimator : FusionClassifier or Pipeline
            The fitted model that was summarized, or the same, loaded.
        X : DataFrame of shape (n_samples, n_features)
            Rows to predict from. Images are read, unless the model has just predicted from them.

        Returns
        -------
        table : DataFrame
            One line for each value and image that lies outside, in the order of rows; empty where
            nothing does.

            - "row": label of the row in the index of X.
            - "column": column of X.
            - "kind": "number", "category" (one that fewer than five patients had, or none),
              "missing" (a value that no patient lacked), "image" (features far from those of
              training) or "color" (an image in color where those of training are gray, or gray
              where they are in color).
            - "value": the value; of an image the distance of its features, of a color "color" or
              "gray".
            - "usual": what is usual, in words.
            - "distance": how far the value is from the median (on a scale of ratios for a value
              that is always positive), or the image from the mean; the limit is 1. NaN for others.

        Raises
        ------
        TypeError
            If `estimator` is of another kind, or X is not a DataFrame.
        ValueError
            If the summary is of another model, and for what the model could not predict from.
        """
        fitted = unwrap(estimator)
        _check_frame(X)
        if not len(X):
            return as_table([], X.index)
        inputs, image = self.description["inputs"], self.description["image"]
        if (image is None) != (fitted.image_column is None):
            raise ValueError(
                "the summary is of a model "
                f"{'without' if image is None else 'with'} images, and this one is not"
            )
        kinds = {summary["column"]: summary["kind"] for summary in inputs}
        raw = fitted.inputs_beside([] if image is None else [image["column"]])
        table = None if raw is not None else fitted.transform(X)
        source = X if raw is not None else table
        raw = raw or {name: (None, [name]) for name in kinds}
        missing = [column for column in kinds if column not in source.columns]
        if missing:
            raise ValueError(
                f"the summary is of a model that reads {missing[0]!r}, which is no column here; "
                f"there are {', '.join(map(repr, source.columns))}"
            )
        columns = read_inputs(raw, source, kinds)
        if columns.keys() != kinds.keys():
            raise ValueError(
                f"the summary is of the inputs {', '.join(map(repr, kinds))}, and the model reads "
                f"{', '.join(map(repr, columns))}; summarize what this model was trained on"
            )
        columns = {column: values for column, (_, values) in columns.items()}
        found = outside_inputs(inputs, columns, self.description["rate"])
        if image is not None:
            if table is None:
                table = fitted.transform(_without_unknown(X, inputs, columns))
            found += self._check_images(fitted, table)
        return as_table(found, X.index)

    def _check_images(self, fitted, table):
        """List what lies outside among the images of a table that the classifier reads."""
        image, found, rows = self.description["image"], [], []
        for some, features in read_images(fitted, table):
            if self._spread is not None and features.shape[1] != self._spread.mean.size:
                raise ValueError(
                    f"the summary is of {self._spread.mean.size} features of an image, and the "
                    f"model's encoder has {features.shape[1]}; summarize the training set again"
                )
            rows += some.tolist()
            if self._spread is not None:
                found += far_images(image, self._spread, some, features)
        if image["color"] is not None:
            found += other_colors(image, rows, are_colored(fitted, table.iloc[rows]))
        if not image["n_missing"]:
            absent = sorted(set(range(len(table))) - set(rows))
            column = image["column"]
            found += [(row, column, "missing", None, "never missing", np.nan) for row in absent]
        return found


def summarize_training(estimator, X, *, groups=None, rate=0.01):
    """Summarize what a model was trained on, so that unusual rows can be told when it predicts.

    Clinical inputs are summarized as they stand in the table, in its units: quantiles of numbers,
    counts of categories. Images are summarized by the features of the model's encoder, their mean
    and their covariance, shrunk as by Ledoit and Wolf [1]_, and by whether they are in color.

    Parameters
    ----------
    estimator : FusionClassifier or Pipeline
        Fitted; a Pipeline ends in a FusionClassifier.
    X : DataFrame of shape (n_samples, n_features)
        The rows that it was trained on.
    groups : array-like of shape (n_samples,) or None, default=None
        Patient of each row. None: column ``patient_id`` of X where there is one, else each row is a
        patient.
    rate : float, default=0.01
        Share of the training set's patients who may lie outside what is called usual, for each
        input and for images; above 0 and below 0.5. Four patients always may: a limit that moved
        with fewer would tell of them.

    Returns
    -------
    TrainingSummary
        It has no row of any patient.

    Raises
    ------
    NotFittedError
        If `estimator` is not fitted.
    TypeError
        If it is neither a FusionClassifier nor a Pipeline that ends in one, or X is not a
        DataFrame.
    ValueError
        For a `rate` out of its range, rows without a patient, and what the model cannot read.

    See Also
    --------
    skosfusion.save_model : Keep the summary in the file of the model.
    modality_importance : What a model makes of its inputs.

    Notes
    -----
    A number is unusual if it is farther from the median than three standard deviations would be,
    were the values normally distributed with the outermost quantile that five patients exceed; two,
    four, eight or sixteen times as far beyond it where more patients of the training set are there
    than `rate` allows. Where all is positive, logarithms are compared. With fewer than about 20
    patients nothing is called unusual, and limits of fewer than 100 are rough.

    Images are compared by the Mahalanobis distance of their features. The limit lies beyond the
    distances of patients on whom mean and covariance were not computed, in five folds. An image
    within it need not be one that the model can judge.

    References
    ----------
    .. [1] O. Ledoit, M. Wolf, "A well-conditioned estimator for large-dimensional covariance
       matrices", Journal of Multivariate Analysis 88, 2004.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skosfusion import FusionClassifier, summarize_training
    >>> X = pd.DataFrame({"age": np.linspace(5, 20, 60)})
    >>> classifier = FusionClassifier(max_epochs=1, random_state=0).fit(X, np.arange(60) % 2)
    >>> summary = summarize_training(classifier, X)
    >>> summary.table.loc["age", ["low", "high"]].round().tolist()
    [3.0, 31.0]
    """
    fitted = unwrap(estimator)
    _check_frame(X)
    valid = isinstance(rate, float) and 0 < rate < 0.5
    check_parameter("rate", rate, valid, "a number above 0 and below 0.5")
    patients = np.unique(np.asarray(patients_of(X, groups), str), return_inverse=True)[1]
    n_patients = int(patients.max(initial=-1)) + 1
    table = fitted.transform(X)
    sources = [] if fitted.image_column is None else fitted.image_sources(X, table)
    raw = fitted.inputs_beside(sources)
    source = X if raw is not None else table
    raw = raw or {name: (None, [name]) for name in fitted.clinical_names}
    columns = read_inputs(raw, source)
    inputs = [
        summarize_input(column, kind, values, patients, rate)
        for column, (kind, values) in columns.items()
    ]
    description = {
        "version": VERSION,
        "n_rows": len(X),
        "n_patients": n_patients,
        "n_warned": 0,
        "rate": rate,
        "inputs": inputs,
        "image": None,
    }
    arrays = {}
    if sources:
        image, spread = _summarize_images(fitted, table, sources[0], patients, rate)
        description["image"] = image
        arrays = {} if spread is None else spread._asdict()
    summary = TrainingSummary(description, arrays)
    rows = summary.check(estimator, X.reset_index(drop=True))["row"].to_numpy(int)
    n_warned = len(np.unique(patients[rows]))
    # In steps, so that it tells nothing of one patient.
    return TrainingSummary(description | {"n_warned": -(-n_warned // FEWEST) * FEWEST}, arrays)


def _summarize_images(fitted, table, column, patients, rate):
    rows, features = [], []
    for some, found in read_images(fitted, table):
        rows.append(some)
        features.append(found)
    rows, features = np.concatenate(rows), np.concatenate(features)
    colored = are_colored(fitted, table.iloc[rows])
    n_missing = len(np.unique(np.delete(patients, rows)))
    return summarize_images(column, features, colored, patients[rows], n_missing, rate)


def _without_unknown(X, inputs, columns):
    """Replace categories that the steps would refuse; of these rows, only images are looked at."""
    X = X.copy(deep=False)
    for summary in inputs:
        if summary["kind"] == CATEGORY and summary["names"]:
            column = summary["column"]
            values = columns[column]
            is_other = [value is not None and value not in summary["names"] for value in values]
            if any(is_other):
                X[column] = X[column].astype(object).mask(is_other, summary["names"][0])
    return X


def _check_frame(X):
    if not isinstance(X, pd.DataFrame):
        raise TypeError(f"X is a {type(X).__name__}; it must be a pandas DataFrame, with names")
