"""The normalisation of a whole clinical table."""

import difflib
from contextlib import contextmanager

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils.cells import is_number
from .._utils.validation import check_choice, check_parameter
from ._age import AgeScaler
from ._gender import GenderEncoder
from ._kit_range import KitRangeScaler

PAPER_KITS = {"alp": ("alp", "alp_low", "alp_high"), "ldh": ("ldh", "ldh_low", "ldh_high")}


def make_clinical_transformer(
    *, image="image", gender="gender", age="age", kits=None, missing="impute"
):
    """Make the transformer that normalises the clinical columns and lets image paths through.

    Its steps, which are also the names of its output columns, are ``gender``, ``age`` and one for
    each kit; the step ``image`` comes first and leaves its column and the column's name as they
    are. ``set_params(alp="drop")`` leaves an input out. Columns are found by name: their order is
    free, and further columns are ignored.

    Parameters
    ----------
    image : str or None, default="image"
        Column of the image paths. None leaves this step out, here and below.
    gender : str or None, default="gender"
        Column of the genders, see :class:`GenderEncoder`.
    age : str or None, default="age"
        Column of the ages in years, see :class:`AgeScaler`.
    kits : dict or None, default=None
        Laboratory values, see :class:`KitRangeScaler`: name of the step to ``(value, low, high)``,
        where value is a column and low and high are both columns or both numbers. None takes those
        of the paper, ``{"alp": ("alp", "alp_low", "alp_high"), "ldh": ("ldh", "ldh_low",
        "ldh_high")}``; ``{}`` takes none.
    missing : {"impute", "indicator", "error"}, default="impute"
        What becomes of missing clinical values. "impute": they are filled in with the most frequent
        gender (male where both are as frequent) or the median of the other normalised values, both
        from the rows given to `fit`. "indicator": they are filled in, and each input gets a second
        column such as ``alp_missing``, 1.0 where the value was missing, else 0.0. "error": a
        ValueError. Missing image paths are left to the classifier.

    Returns
    -------
    transformer : ColumnTransformer
        Unfitted; takes a DataFrame and gives a DataFrame, in float32 but for the image paths. How
        many values were missing in `fit` is kept in
        ``transformer.named_transformers_["alp"]["scale"].n_missing_``.

    Raises
    ------
    ValueError
        For an argument out of its set. The transformer raises it for a missing or repeated column,
        a table without rows, a column without any value in `fit`, and whatever its steps refuse.
    TypeError
        The transformer raises it for what is no DataFrame, and for column names that are not str.

    See Also
    --------
    skosfusion.datasets.load_cohort : Load a table that this takes.

    Notes
    -----
    The normalisations are those of the paper, Eq. 2 and section "Integration of basic information".

    Examples
    --------
    >>> import pandas as pd
    >>> from skosfusion.preprocessing import make_clinical_transformer
    >>> X = pd.DataFrame({
    ...     "image": ["a.png", "b.png"], "gender": ["F", "M"], "age": [14, None],
    ...     "alp": [150, 460], "alp_low": [40, 60], "alp_high": [150, 260],
    ... })
    >>> kits = {"alp": ("alp", "alp_low", "alp_high")}
    >>> make_clinical_transformer(kits=kits).fit_transform(X)
       image  gender   age  alp
    0  a.png     0.5  0.14  1.0
    1  b.png    -0.5  0.14  2.0
    """
    check_choice("missing", missing, ("impute", "indicator", "error"))
    for name, column in (("image", image), ("gender", gender), ("age", age)):
        valid = column is None or isinstance(column, str)
        check_parameter(name, column, valid, "the name of a column, or None")

    steps = []
    if image is not None:
        steps.append(("image", "passthrough", [image]))
    if gender is not None:
        finish = _MissingPolicy(name="gender", strategy="most_frequent", missing=missing)
        steps.append(("gender", _chain(GenderEncoder(), finish), [gender]))
    if age is not None:
        finish = _MissingPolicy(name="age", missing=missing)
        steps.append(("age", _chain(AgeScaler(), finish), [age]))
    for name, kit in check_kits(PAPER_KITS if kits is None else kits).items():
        finish = _MissingPolicy(name=name, missing=missing)
        steps.append((name, _chain(_kit_scaler(kit), finish), _kit_columns(kit)))
    if not steps:
        raise ValueError("image, gender, age and kits are all left out; give at least one of them")

    transformer = _ClinicalTransformer(steps, remainder="drop", verbose_feature_names_out=False)
    return transformer.set_output(transform="pandas")


class _ClinicalTransformer(ColumnTransformer):
    """A ColumnTransformer that says what is wrong with a table, and the remedy."""

    def fit_transform(self, X, y=None, **params):
        self._check_table(X, self.transformers)
        with earlier_fit_kept(self):
            return super().fit_transform(X, y, **params)

    def transform(self, X, **params):
        check_is_fitted(self)
        steps = [step for step in self.transformers_ if isinstance(step[1], BaseEstimator)]
        self._check_table(X, steps)
        return super().transform(X, **params)

    def _check_table(self, X, steps):
        if not isinstance(X, pd.DataFrame):
            raise TypeError(
                f"X must be a pandas DataFrame, whose columns are found by name; got a "
                f"{type(X).__name__}"
            )
        if len(X) == 0:
            raise ValueError(
                f"Found a table with 0 samples (shape={X.shape}); X needs at least one row"
            )
        columns = X.columns.tolist()
        for column in columns:
            if type(column) is not str:
                raise TypeError(
                    f"X has a column named {column!r} ({type(column).__name__}); names must be "
                    "str: X.columns = X.columns.map(str)"
                )
        for name, _, wanted in steps:
            wanted = [wanted] if isinstance(wanted, str) else wanted
            # Slices, positions and functions are scikit-learn's to look up.
            for column in wanted if isinstance(wanted, list) else ():
                if isinstance(column, str):
                    _check_column(column, columns, name)


@contextmanager
def earlier_fit_kept(*estimators):
    """Give estimators their earlier state back if the block fails."""
    earlier = [dict(vars(estimator)) for estimator in estimators]
    try:
        yield
    except BaseException:
        for estimator, state in zip(estimators, earlier, strict=True):
            vars(estimator).clear()
            vars(estimator).update(state)
        raise


def _check_column(column, columns, step):
    """Raise ValueError unless a table has exactly one column of this name."""
    count = columns.count(column)
    if count > 1:
        raise ValueError(f"X has {count} columns named {column!r}; rename or drop all but one")
    if count == 0:
        near = difflib.get_close_matches(str(column), map(str, columns), n=1)
        name = step if step in ("image", "gender", "age") else "kits"
        raise ValueError(
            f"X has no column {column!r}, which {step!r} is made of; its columns are {columns}"
            + (f", the nearest is {near[0]!r}" if near else "")
            + f"; name the columns of your table with make_clinical_transformer({name}=...)"
        )


def check_kits(kits):
    """Return kits if each is (value, low, high), else raise ValueError."""
    check_parameter("kits", kits, isinstance(kits, dict), "a dict of name: (value, low, high)")
    for name, kit in kits.items():
        valid = isinstance(name, str) and name not in ("", "image", "gender", "age")
        allowed = "names of str other than image, gender and age, without '__'"
        check_parameter("name of a kit", name, valid and "__" not in name, allowed)
        valid = (
            isinstance(kit, tuple | list)
            and len(kit) == 3
            and isinstance(kit[0], str)
            and (_has_limit_columns(kit) or (has_fixed_limits(kit) and kit[1] < kit[2]))
        )
        allowed = "(value, low, high): a column, and two other columns or two numbers, low < high"
        check_parameter(f"kits[{name!r}]", kit, valid, allowed)
    return kits


def has_fixed_limits(kit):
    """Tell whether the limits of a kit are numbers, not columns."""
    return all(is_number(limit) for limit in kit[1:])


def _has_limit_columns(kit):
    """Tell whether value and limits of a kit are three columns."""
    return all(isinstance(part, str) for part in kit) and len(set(kit)) == 3


def _kit_scaler(kit):
    return KitRangeScaler(*kit[1:]) if has_fixed_limits(kit) else KitRangeScaler()


def _kit_columns(kit):
    return [kit[0]] if has_fixed_limits(kit) else list(kit)


def _chain(scaler, finish):
    return Pipeline([("scale", scaler), ("missing", finish)])


class _MissingPolicy(TransformerMixin, BaseEstimator):
    """Fill in, mark or refuse the missing values of one column, and give the column its name."""

    def __init__(self, *, name, strategy="median", missing="impute"):
        self.name = name
        self.strategy = strategy
        self.missing = missing

    def fit(self, X, y=None):
        self.imputer_ = SimpleImputer(strategy=self.strategy).fit(self._read(X, reset=True))
        return self

    def transform(self, X):
        check_is_fitted(self)
        values = self._read(X, reset=False)
        filled = self.imputer_.transform(values)
        if self.missing != "indicator":
            return filled
        return np.hstack([filled, np.isnan(values).astype(values.dtype)])

    def get_feature_names_out(self, input_features=None):
        names = [self.name, f"{self.name}_missing"]
        return np.array(names if self.missing == "indicator" else names[:1], dtype=object)

    def _read(self, X, *, reset):
        values = validate_data(
            self, X, dtype=np.float32, ensure_all_finite="allow-nan", reset=reset
        )
        absent = np.flatnonzero(np.isnan(values).any(axis=1))
        if self.missing == "error" and absent.size:
            raise ValueError(
                f"column {self.feature_names_in_[0]!r} is missing in {absent.size} of "
                f"{len(values)} rows, first in row {absent[0]}; fill the values in, or use "
                "missing='impute' or 'indicator'"
            )
        return values
