"""Sites left out in turn: how a model does where it has not been trained."""

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.utils import Bunch, check_consistent_length

from .._utils.groups import codes_of, complete_column
from .._utils.validation import check_parameter, shown
from ..evaluation import clustered_auc
from ._cross_val_scores import cross_val_scores
from ._folds import patients_of
from ._random_effects import pool

_LEVEL = 0.95
_NORMAL = norm.ppf((1 + _LEVEL) / 2)


def validate_by_site(
    estimator,
    X,
    y,
    *,
    site,
    groups,
    ablations=None,
    step="clinical",
    params=None,
    allow_shared_patients=False,
    n_jobs=None,
    progress=None,
    folder=None,
):
    """Test at each site a model that was trained at all others, and pool the sites.

    Internal-external cross-validation [1]_: scikit-learn's ``LeaveOneGroupOut`` over hospitals,
    scanners or kits. Sites differ by more than chance, so that the area under the ROC curve (AUC)
    of each stands beside a mean by random effects and an interval for a site to come.

    Parameters
    ----------
    estimator : Pipeline or classifier
        What is fitted, such as ``make_fusion_pipeline()``; it is cloned.
    X : DataFrame or array-like of shape (n_samples, n_features)
        What `estimator` is fitted on.
    y : array-like of shape (n_samples,)
        Labels of two classes; the second in sorted order is the positive one.
    site : array-like of shape (n_samples,)
        Site of each sample; two or more.
    groups : array-like of shape (n_samples,) or None
        Patient of each sample, as in `cross_val_scores`.
    ablations : dict or None, default=None
        The rows, as in `cross_val_scores`; None is the estimator as it is, row "model".
    step : str or None, default="clinical"
        As in `ablation_param_grid`.
    params : dict or None, default=None
        Parameters of `fit`, as in `cross_val_scores`.
    allow_shared_patients : bool, default=False
        Whether a patient may have samples at several sites, and so be trained on and tested.
    n_jobs : int or None, default=None
        Number of fits at the same time, as in joblib.
    progress : callable or None, default=None
        As in `cross_val_scores`.
    folder : str, path-like or None, default=None
        Where each finished fit is kept, as in `cross_val_scores`.

    Returns
    -------
    sklearn.utils.Bunch
        table : DataFrame
            One line for each "row" and "site": "n_patients", "n_images", "n_positive" (images);
            "auc" over its images, from 0 to 1, its standard error "se" with the patient as unit
            [2]_, the ends "low" and "high" of a 95 % interval, on the logit scale, and a "note".
            A site of one class has no AUC, and one with a single patient in a class no standard
            error; both are not pooled, and the note says so.
        pooled : DataFrame
            One line for each "row": "n_sites" that were pooled; "auc" with "low" and "high", a
            95 % interval of the mean; "tau", the standard deviation of the sites' true logits of
            the AUC; "prediction_low" and "prediction_high", between which 95 % of the AUCs of new
            sites are expected. NaN where there are too few: two sites for an interval, three for
            the prediction.
        scores : Bunch
            What `cross_val_scores` gives, its folds being the sites.
        sites : ndarray of shape (n_sites,)
            The sites, in the order of the folds.
        DESCR : str
            What was done, and what could not be.

    Raises
    ------
    ValueError
        For fewer than two sites, or labels of another number of classes than two; for patients at
        several sites, with their rows; where all sites but one have one class only.
    TypeError
        As in `cross_val_scores`.

    Notes
    -----
    Pooled are logits of the AUC, with variance ``se**2 / (auc * (1 - auc))**2``. The variance
    between sites is estimated by restricted maximum likelihood (REML); the interval of the mean is
    that of Hartung and Knapp [3]_, never with a smaller standard error than from the sites' own
    ones, as Röver et al. propose for few sites [6]_; the prediction interval that
    of Higgins et al. with n_sites - 2 degrees of freedom [4]_. Debray et al. recommend these
    methods for such figures [1]_.

    An AUC of exactly 0 or 1 has no logit, and a standard error of 0. For pooling and its interval
    it is replaced by ``(n * auc + 0.5) / (n + 1)``, n being the number of patients in the smaller
    class, with the standard error of Hanley and McNeil [5]_; the note says so, and the figure
    itself is shown as it is.

    References
    ----------
    .. [1] T. Debray et al., "A guide to systematic review and meta-analysis of prediction model
       performance", BMJ 356:i6460, 2017.
    .. [2] N. Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53,
       567-578, 1997.
    .. [3] J. Hartung and G. Knapp, "A refined method for the meta-analysis of controlled clinical
       trials with binary outcome", Statistics in Medicine 20, 3875-3889, 2001.
    .. [4] J. Higgins, S. Thompson and D. Spiegelhalter, "A re-evaluation of random-effects
       meta-analysis", Journal of the Royal Statistical Society A 172, 137-159, 2009, equation 12.
    .. [5] J. Hanley and B. McNeil, "The meaning and use of the area under a receiver operating
       characteristic (ROC) curve", Radiology 143, 29-36, 1982.
    .. [6] C. Röver, G. Knapp and T. Friede, "Hartung-Knapp-Sidik-Jonkman approach and its
       modification for random-effects meta-analysis with few studies", BMC Medical Research
       Methodology 15:99, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skosfusion import validate_by_site
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> site = np.array(["north", "south", "east"])[np.arange(len(y)) % 3]
    >>> model = LogisticRegression(solver="liblinear")
    >>> result = validate_by_site(model, X, y, site=site, groups=None)
    >>> result.table["site"].tolist()
    ['east', 'north', 'south']
    >>> bool(0.9 < result.pooled.loc["model", "auc"] < 1)
    True
    """
    check_parameter(
        "allow_shared_patients",
        allow_shared_patients,
        isinstance(allow_shared_patients, bool),
        "True or False",
    )
    check_consistent_length(X, y, site, groups)
    y = complete_column(y, "label")
    classes = np.unique(y)
    if len(classes) != 2:
        raise ValueError(f"y holds {shown(classes.tolist(), 'label', repr)}; an AUC needs two")
    site = complete_column(site, "site")
    site_codes, sites = codes_of(site, "site")
    order = _order_of(sites)
    sites, site_codes = np.asarray(sites)[order], np.argsort(order)[site_codes]
    if len(sites) < 2:
        raise ValueError(
            f"all rows are of the one site {sites.tolist()[0]!r}; two or more are needed, and "
            "cross_val_scores is for one"
        )
    patients = patients_of(
        X if hasattr(X, "columns") else pd.DataFrame(index=range(len(y))), groups
    )
    codes, _ = codes_of(patients, "patient")
    n_shared = _check_shared(codes, site_codes, allow_shared_patients)
    is_positive = y == classes[1]
    folds = list(LeaveOneGroupOut().split(site_codes, groups=site_codes))
    for number, (train, _) in enumerate(folds):
        if is_positive[train].all() or not is_positive[train].any():
            left_out, label = sites.tolist()[number], y[train].tolist()[0]
            raise ValueError(
                f"without site {left_out!r} all labels are {label!r}, so nothing can be trained to "
                "test there; join sites, or leave that one out"
            )
    scores = cross_val_scores(
        estimator,
        X,
        y,
        {"model": {}} if ablations is None else ablations,
        groups=groups,
        cv=folds,
        step=step,
        params=params,
        allow_leaks=allow_shared_patients,
        n_jobs=n_jobs,
        progress=progress,
        folder=folder,
        random_state=0,
    )
    lines, pooled = [], []
    for row, score in scores.scores.items():
        of_row = [
            _at_site(is_positive[test], score[test, 0], codes[test], {"row": row, "site": name})
            for name, (_, test) in zip(sites, folds, strict=True)
        ]
        lines += [line for line, _ in of_row]
        usable = [values for _, values in of_row if values is not None]
        found = pool([v for v, _ in usable], [v for _, v in usable], level=_LEVEL)
        pooled.append({
            "row": row, "n_sites": len(usable), "auc": expit(found.mean), "low": expit(found.low),
            "high": expit(found.high), "tau": found.tau,
            "prediction_low": expit(found.prediction_low),
            "prediction_high": expit(found.prediction_high),
        })  # fmt: skip
    table = pd.DataFrame(lines)
    return Bunch(
        table=table,
        pooled=pd.DataFrame(pooled).set_index("row"),
        scores=scores,
        sites=sites,
        DESCR=_describe(table, n_shared),
    )


def _order_of(sites):
    """Sort the sites; of kinds that cannot be compared, by their text."""
    try:
        return np.argsort(np.asarray(sites), kind="stable")
    except TypeError:
        return np.argsort([str(name) for name in sites], kind="stable")


def _check_shared(patients, sites, allowed):
    """Count patients at several sites, and refuse them unless allowed."""
    n_sites = pd.Series(sites).groupby(patients).nunique()
    shared = n_sites.index[n_sites > 1]
    if len(shared) and not allowed:
        rows = np.flatnonzero(np.isin(patients, shared))
        raise ValueError(
            f"{len(shared)} patients have samples at several sites, in {shown(rows, 'row')}, and "
            "would be trained on and tested; leave these rows out, give such a patient one site, "
            "or say allow_shared_patients=True"
        )
    return len(shared)


def _at_site(is_positive, score, patients, line):
    """Return one line of the table, and the logit of the AUC with its variance, or None."""
    counts = {
        "n_patients": len(np.unique(patients)),
        "n_images": len(score),
        "n_positive": int(is_positive.sum()),
    }
    figures = dict.fromkeys(("auc", "se", "low", "high"), np.nan)
    if is_positive.all() or not is_positive.any():
        return line | counts | figures | {"note": "one class: no AUC"}, None
    found = clustered_auc(is_positive, score, patients)
    auc, variance = found.auc, found.standard_error**2
    figures["auc"], figures["se"] = auc, found.standard_error
    if np.isnan(variance):
        return line | counts | figures | {"note": "one patient in a class: not pooled"}, None
    note = ""
    if auc in (0.0, 1.0) or variance == 0:
        counts_of = [len(np.unique(patients[of])) for of in (is_positive, ~is_positive)]
        auc, variance = _corrected(auc, *counts_of)
        note = "standard error of 0: interval and pooling with half a patient added"
    center, variance = logit(auc), variance / (auc * (1 - auc)) ** 2
    alone = center + np.array([-1, 1]) * _NORMAL * np.sqrt(variance)
    figures["low"], figures["high"] = expit(alone)
    return line | counts | figures | {"note": note}, (center, variance)


def _corrected(auc, n_positive, n_negative):
    """Add half a patient in wrong order; return the AUC and its variance by Hanley and McNeil."""
    n_pairs, fewer = n_positive * n_negative, min(n_positive, n_negative)
    auc = (auc * fewer + 0.5) / (fewer + 1)
    both_above, both_below = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (
        auc * (1 - auc)
        + (n_positive - 1) * (both_above - auc**2)
        + (n_negative - 1) * (both_below - auc**2)
    ) / n_pairs
    return auc, variance


def _describe(table, n_shared):
    sites = table.drop_duplicates("site")
    lines = [
        f"Sites left out in turn: {len(sites)} sites, {sites['n_images'].sum()} images. AUC over "
        "images, its standard error by patient (Obuchowski 1997); pooled by random effects on the "
        "logit (REML, Hartung and Knapp)."
    ]
    if n_shared:
        lines.append(
            f"THIS LEAKS: {n_shared} patients have samples at several sites, so they are trained "
            "on and tested, and figures are too good."
        )
    for _, line in table[table["note"] != ""].iterrows():
        lines.append(f"{line['row']}, site {line['site']}: {line['note']}.")
    return "\n".join(lines) + "\n"
