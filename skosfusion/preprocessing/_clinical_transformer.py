"""A ColumnTransformer for clinical tables."""

import warnings
from contextlib import contextmanager

import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.utils.validation import check_is_fitted

from .._utils.problems import Problems
from .._utils.validation import did_you_mean


class ClinicalTransformer(ColumnTransformer):
    """A ColumnTransformer that says what is wrong with a table, and the remedy.

    It is what :func:`make_clinical_transformer` makes, and differs from scikit-learn's in three
    things: a table is checked before any step sees it; where a table is refused, an earlier fit is
    kept; and output columns carry the names that the steps give them, without a prefix.

    Parameters
    ----------
    transformers : list of tuple
        Steps as ``(name, transformer, columns)``; a transformer may be "passthrough" or "drop".
    remainder : {"drop", "passthrough"} or estimator, default="drop"
        What becomes of columns that no step names.
    sparse_threshold : float, default=0.3
        As in ColumnTransformer; clinical tables are dense.
    n_jobs : int or None, default=None
        Number of jobs that fit and apply the steps, as in joblib.
    transformer_weights : dict or None, default=None
        Factors for the output of steps, by name.
    verbose : bool, default=False
        Whether the time of each step is printed.
    verbose_feature_names_out : bool, default=False
        Whether the names of output columns start with the name of their step.

    Attributes
    ----------
    transformers_ : list of tuple
        The fitted steps as ``(name, fitted transformer, columns)``.
    named_transformers_ : Bunch
        The fitted steps by name.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns seen in `fit`.

    See Also
    --------
    make_clinical_transformer : Make one for gender, age and laboratory values.

    Examples
    --------
    >>> import pandas as pd
    >>> from skosfusion.preprocessing import AgeScaler, ClinicalTransformer
    >>> steps = [("image", "passthrough", ["image"]), ("age", AgeScaler(), ["years"])]
    >>> transformer = ClinicalTransformer(steps).set_output(transform="pandas")
    >>> transformer.fit_transform(pd.DataFrame({"years": [4, 81], "image": ["a.png", "b.png"]}))
       image  years
    0  a.png   0.04
    1  b.png   0.81
    >>> transformer.transform(pd.DataFrame({"year": [4], "image": ["a.png"]}))
    Traceback (most recent call last):
        ...
    ValueError: X has no column 'years', which 'age' is made of; ...
    """

    def __init__(
        self,
        transformers,
        *,
        remainder="drop",
        sparse_threshold=0.3,
        n_jobs=None,
        transformer_weights=None,
        verbose=False,
        verbose_feature_names_out=False,
    ):
        super().__init__(
            transformers,
            remainder=remainder,
            sparse_threshold=sparse_threshold,
            n_jobs=n_jobs,
            transformer_weights=transformer_weights,
            verbose=verbose,
            verbose_feature_names_out=verbose_feature_names_out,
        )

    def fit_transform(self, X, y=None, **params):
        """Check a table, fit all steps and return their output.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
            The table; its columns are found by name.
        y : array-like of shape (n_samples,) or None, default=None
            Passed on to the steps; those of this package ignore it.
        **params
            Routed to the steps, as in ColumnTransformer.

        Returns
        -------
        output : DataFrame of shape (n_samples, n_outputs)
            The columns of the steps, side by side.

        Raises
        ------
        TypeError
            For what is not a DataFrame, and for column names that are not str.
        ValueError
            For a table without rows, a missing or repeated column, and whatever the steps refuse.
        """
        self._check_table(X, self.transformers)
        with _earlier_fit_kept(self):
            try:
                return super().fit_transform(X, y, **params)
            except (ValueError, TypeError) as error:
                _raise_all(X, self.transformers, lambda step, cells: clone(step).fit(cells))
                if "are not unique" not in str(error):
                    raise
                raise ValueError(
                    f"two inputs make columns of one name: {str(error).partition('.')[0]}; give "
                    "one of the inputs another name, as in numbers={'name': 'column'}"
                ) from error

    def transform(self, X, **params):
        """Check a table and return the output of the fitted steps.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
            A table with the columns that the steps take; their order is free.
        **params
            As in `fit_transform`.

        Returns
        -------
        output : DataFrame of shape (n_samples, n_outputs)
            As in `fit_transform`.

        Raises
        ------
        TypeError, ValueError
            As in `fit_transform`.
        """
        check_is_fitted(self)
        steps = [step for step in self.transformers_ if isinstance(step[1], BaseEstimator)]
        self._check_table(X, steps)
        try:
            return super().transform(X, **params)
        except (ValueError, TypeError):
            _raise_all(X, steps, lambda step, cells: step.transform(cells))
            raise

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
        problems = Problems()
        for name, _, wanted in steps:
            wanted = [wanted] if isinstance(wanted, str) else wanted
            # Slices, positions and functions are scikit-learn's to look up.
            for column in wanted if isinstance(wanted, list) else ():
                if isinstance(column, str):
                    with problems.collected():
                        _check_column(column, columns, name)
        problems.raise_any()


def _raise_all(X, steps, attempt):
    """Raise what several steps refuse in one error; return where it is one step alone."""
    problems = Problems()
    for _, step, wanted in steps:
        if not isinstance(step, BaseEstimator) or not isinstance(wanted, list):
            continue
        with problems.collected(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            attempt(step, X[wanted])
    if len(problems.errors) > 1:
        problems.raise_any()


@contextmanager
def _earlier_fit_kept(estimator):
    """Give an estimator its earlier state back if the block fails."""
    earlier = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(earlier)
        raise


def _check_column(column, columns, step):
    """Raise ValueError unless a table has exactly one column of this name."""
    count = columns.count(column)
    if count > 1:
        raise ValueError(f"X has {count} columns named {column!r}; rename or drop all but one")
    if count == 0:
        is_ours = step in ("image", "gender", "age")
        parameters = f"{step}=..." if is_ours else "kits=, numbers= or categories="
        hint = did_you_mean(column, columns)
        raise ValueError(
            f"X has no column {column!r}, which {step!r} is made of; its columns are {columns}; "
            f"{f'{hint} Name' if hint else 'name'} the columns of your table with "
            f"make_clinical_transformer({parameters})"
        )
