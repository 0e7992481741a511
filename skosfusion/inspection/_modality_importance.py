"""What the score loses when one kind of input no longer belongs to the patient."""

import numpy as np
import pandas as pd
from sklearn.metrics import check_scoring
from sklearn.utils import Bunch, check_consistent_length, check_random_state

from .._utils.validation import check_integer, did_you_mean
from ..model_selection import patients_of
from ..preprocessing import AgeScaler, GenderEncoder, KitRangeScaler
from ._fitted import is_made_by, unwrap


def modality_importance(
    estimator,
    X,
    y,
    *,
    groups=None,
    modalities=None,
    scoring=None,
    n_repeats=5,
    random_state=None,
):
    """Measure how much of a score is lost when a whole kind of input is permuted [1]_.

    The columns of a modality move together: a row gets the image, or all laboratory values with
    their kits' limits, of another one (or, as permutations have it, now and then its own). Patients
    are permuted, not rows, and all rows of a patient get what belongs to one patient; row by row,
    some of a patient's images would go to the same patient, and the loss would look too small.

    Parameters
    ----------
    estimator : FusionClassifier or Pipeline
        Fitted; a Pipeline ends in a FusionClassifier.
    X : DataFrame of shape (n_samples, n_features)
        Rows that the estimator was not trained on; their own would measure what it memorized.
    y : array-like of shape (n_samples,)
        Labels.
    groups : array-like of shape (n_samples,) or None, default=None
        Patient of each row. None: column ``patient_id`` of `X` where there is one, else each row is
        a patient.
    modalities : dict of str to list of str or None, default=None
        Columns by modality. None: ``"image"``, and where the pipeline begins with
        `make_clinical_transformer`, ``"laboratory"`` (kits) and ``"demographics"`` (gender and
        age) as far as they are in use; else ``"clinical"`` for all other columns.
    scoring : str, callable or None, default=None
        The score, as in scikit-learn; None takes ``estimator.score``, the accuracy.
    n_repeats : int, default=5
        Permutations of each modality.
    random_state : int, RandomState instance or None, default=None
        Decides the permutations.

    Returns
    -------
    result : sklearn.utils.Bunch
        importances : ndarray of shape (n_modalities, n_repeats)
            Score with everything in place less score with the modality permuted.
        importances_mean : ndarray of shape (n_modalities,)
            Mean over the repeats.
        importances_std : ndarray of shape (n_modalities,)
            Standard deviation over the repeats.
        modality_names : list of str
            The modalities.
        score : float
            Score with everything in place.

    Raises
    ------
    NotFittedError
        If `estimator` is not fitted.
    TypeError
        If it is neither a FusionClassifier nor a Pipeline that ends in one, or `X` is not a
        DataFrame.
    ValueError
        For an unknown column, fewer than two patients, or a wrong `n_repeats`.

    Notes
    -----
    A permuted row may be one that no patient could have, such as a child's radiograph with the age
    of an adult. Modalities that carry the same information share their loss.

    References
    ----------
    .. [1] L. Breiman, "Random forests", Machine Learning 45, 2001, section 10.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from skosfusion import FusionClassifier, modality_importance
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> X = X[["mean radius", "mean texture", "mean symmetry"]].apply(scale)
    >>> classifier = FusionClassifier(max_epochs=5, random_state=0).fit(X[:400], y[:400])
    >>> result = modality_importance(
    ...     classifier,
    ...     X[400:],
    ...     y[400:],
    ...     modalities={"size": ["mean radius"], "other": ["mean texture", "mean symmetry"]},
    ...     random_state=0,
    ... )
    >>> result.modality_names[np.argmax(result.importances_mean)]
    'size'
    """
    fitted = unwrap(estimator)
    if not isinstance(X, pd.DataFrame):
        raise TypeError(f"X is a {type(X).__name__}; it must be a pandas DataFrame, with names")
    check_consistent_length(X, y, groups)
    check_integer("n_repeats", n_repeats, minimum=1)
    modalities = _default_modalities(fitted, X) if modalities is None else dict(modalities)
    _check_columns(modalities, X)
    modalities = {name: list(columns) for name, columns in modalities.items()}
    patients = patients_of(X, groups)
    rows_of = _rows_by_patient(patients)
    scorer = check_scoring(estimator, scoring=scoring)
    random = check_random_state(random_state)
    score = float(scorer(estimator, X, y))
    importances = np.empty((len(modalities), n_repeats))
    for repeat in range(n_repeats):
        # The same permutation for all modalities, so that they compare.
        donors = _donor_rows(rows_of, random)
        for number, columns in enumerate(modalities.values()):
            permuted = X.copy()
            permuted[columns] = X[columns].iloc[donors].set_axis(X.index)
            importances[number, repeat] = score - scorer(estimator, permuted, y)
    return Bunch(
        importances=importances,
        importances_mean=importances.mean(axis=1),
        importances_std=importances.std(axis=1),
        modality_names=list(modalities),
        score=score,
    )


def _default_modalities(fitted, X):
    table = fitted.transform(X)
    images = [] if fitted.image_column is None else fitted.image_sources(X, table)
    modalities = {"image": images} if images else {}
    inputs = fitted.input_columns(X, table)
    if inputs is None:
        others = [column for column in X.columns if column not in images]
        return modalities | ({"clinical": others} if others else {})
    for transformer, columns in inputs.values():
        name = _modality_of(transformer)
        modalities[name] = list(dict.fromkeys([*modalities.get(name, []), *columns]))
    return modalities


def _modality_of(transformer):
    """Name the kind of a clinical input by what normalizes it."""
    if is_made_by(transformer, KitRangeScaler):
        return "laboratory"
    if is_made_by(transformer, GenderEncoder, AgeScaler):
        return "demographics"
    return "clinical"


def _check_columns(modalities, X):
    for name, columns in modalities.items():
        if isinstance(columns, str) or not len(columns):
            raise ValueError(f"modalities[{name!r}]={columns!r} must be a list of columns of X")
        unknown = [column for column in columns if column not in X.columns]
        if unknown:
            raise ValueError(
                f"modalities[{name!r}] names {unknown[0]!r}, which is not a column of X; its "
                f"columns are {', '.join(map(repr, X.columns))}; "
                f"{did_you_mean(unknown[0], X.columns)}".rstrip("; ")
            )


def _rows_by_patient(patients):
    codes, names = pd.factorize(patients)
    if len(names) < 2:
        raise ValueError(f"{len(names)} patient cannot be permuted; at least two are needed")
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes))[:-1])


def _donor_rows(rows_of, random):
    """Choose for each row the one whose values it gets: all rows of a patient have one donor."""
    donors = np.empty(sum(map(len, rows_of)), np.intp)
    for patient, donor in enumerate(random.permutation(len(rows_of))):
        rows = rows_of[patient]
        # A donor with fewer rows gives some twice.
        donors[rows] = np.resize(random.permutation(rows_of[donor]), len(rows))
    return donors
