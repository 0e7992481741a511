"""The methods that are compared: each is one line, a scikit-learn estimator made for a fold.

To add one of ours, write a line into `OURS`; to add another, a line into `METHODS`.
"""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, StackingClassifier
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skosfusion import FusionClassifier, make_clinical_transformer, make_fusion_pipeline

from .parts import clinical, clinical_kits, clinical_scaled, columns, side_by_side
from .peers import AutoGluon, WideDeep, is_installed
from .prepared import DRAWN, FEATURES, TRUTH


class Method(NamedTuple):
    """A method: what it sees, its name in words, what makes it, and what it cannot do without."""

    sees: str
    words: str
    make: Callable  # from a `Task` to an unfitted estimator
    needs: tuple = (FEATURES,)
    package: str | None = None
    keywords: dict | None = None


class Task(NamedTuple):
    """What a method may know before it is fitted: nothing of the test rows."""

    inputs: tuple  # those with a value in a training row
    kits: dict
    model: dict
    inner: list  # folds by patient of the training rows


_OF_ENCODER = ("backbone", "weights", "image_size", "memory")

#: Ours: what it sees, words, and keywords. Those that `make_clinical_transformer` knows go to it,
#: the others to `make_fusion_pipeline`. The paper's recipe has none.
_ROBUST = {"recipe": "robust", "encoding": "spline"}
OURS = {
    "clinical_paper": ("clinical", "ours, the paper's recipe", {}),
    "clinical_robust": ("clinical", "ours, robust recipe", _ROBUST),
    "image_paper": ("image", "ours, the paper's Baseline", {}),
    "image_robust": ("image", "ours, robust recipe", _ROBUST),
    "fusion_paper": ("fusion", "ours, the paper's recipe", {}),
    "fusion_robust": ("fusion", "ours, robust recipe", _ROBUST),
    "fusion_gated": (
        "fusion", "ours, spline encoding and gated", {"encoding": "spline", "fusion": "gated"},
    ),
}  # fmt: skip
#: The candidates for the robust recipe, by their number in docs/recipe.md: written down before any
#: was run. Only runs that name them have them.
_SOLVED = {"head": "linear", "feature_scaling": "global"}
CANDIDATES = {
    1: {},
    2: {"feature_scaling": "global"},
    3: {"steps_per_epoch": 9},
    4: {"optimizer__weight_decay": 0.01},
    5: {"head_dropout": 0.5},
    6: _SOLVED | {"C": 0.0003},
    7: _SOLVED | {"C": 0.001},
    8: _SOLVED | {"C": 0.003},
    9: _SOLVED | {"C": 0.01},
    10: {"fusion": "gated"},
}


def of_ours(sees, keywords):
    """Return what makes one of ours for a fold, by keywords as in `OURS`; its encoder is fixed."""

    def make(task):
        of_clinical = {k: v for k, v in keywords.items() if k in _known(make_clinical_transformer)}
        rest = {k: v for k, v in keywords.items() if k not in of_clinical}
        if task.model["epochs"] is not None:
            rest["max_epochs"] = task.model["epochs"]
        image = None if sees == "clinical" else "image"
        transformer = clinical_kits(task, image=image, with_values=sees != "image", **of_clinical)
        if image is not None:
            rest |= {k: task.model[k] for k in _OF_ENCODER} | {"frozen_epochs": "all"}
        seed = task.model["seed"]
        return make_fusion_pipeline(
            image=image, clinical=transformer, random_state=seed, verbose=0, **rest
        )

    return make


def _known(*functions):
    """Return the names of all parameters of functions."""
    return {name for one in functions for name in inspect.signature(one).parameters}


def _logistic(**keywords):
    """Make a logistic regression with one fixed penalty."""
    return LogisticRegression(**({"C": 0.1, "max_iter": 5000} | keywords))


def _logistic_cv(task, *parts):
    """Make a logistic regression whose penalty is chosen on inner folds by patient."""
    model = LogisticRegressionCV(
        Cs=np.logspace(-4, 1, 6),
        cv=task.inner,
        scoring="neg_log_loss",
        max_iter=2000,
        use_legacy_attributes=False,
        l1_ratios=(0,),
    )
    return make_pipeline(side_by_side(*parts), StandardScaler(), model)


def _in_epochs(task):
    """Return what a method that trains in epochs is told."""
    return {name: task.model[name] for name in ("epochs", "seed")}


def _stacked(task):
    """Make a vote of two models, learned from scores on inner folds by patient."""
    parts = [
        ("image", make_pipeline(columns(FEATURES), _logistic())),
        ("clinical", make_pipeline(clinical_scaled(task), _logistic(C=1.0))),
    ]
    return StackingClassifier(parts, LogisticRegression(), cv=task.inner)


METHODS = {
    "prior": Method("nothing", "share of the training rows", lambda task: DummyClassifier()),
    "clinical_logistic": Method(
        "clinical", "logistic regression, z-scores and indicators",
        lambda task: make_pipeline(clinical_scaled(task), _logistic(C=1.0)),
    ),
    "clinical_boosting": Method(
        "clinical", "gradient boosting",
        lambda task: make_pipeline(
            clinical(task), HistGradientBoostingClassifier(random_state=task.model["seed"])
        ),
    ),
    "image_logistic": Method(
        "image", "logistic regression, C = 0.1",
        lambda task: make_pipeline(columns(FEATURES), _logistic()),
    ),
    "fusion_logistic_cv": Method(
        "fusion", "logistic regression, C cross-validated, all z-scored",
        lambda task: _logistic_cv(task, clinical(task), columns(FEATURES)),
    ),
    "fusion_logistic": Method(
        "fusion", "logistic regression, C = 0.1, features as they are",
        lambda task: make_pipeline(
            side_by_side(clinical_scaled(task), columns(FEATURES)), _logistic()
        ),
    ),
    "decision_level": Method("fusion", "decision level: stacked logistic regressions", _stacked),
    "early_fusion": Method(
        "fusion", "early: values drawn as bars, logistic regression, C = 0.1",
        lambda task: make_pipeline(columns(DRAWN), _logistic()), needs=(DRAWN,),
    ),
    "widedeep": Method(
        "fusion", "pytorch-widedeep, default head",
        lambda task: make_pipeline(
            side_by_side(clinical_scaled(task), columns(FEATURES)),
            WideDeep(2 * len(task.inputs), **_in_epochs(task)),
        ),
        package="pytorch_widedeep",
    ),
    "autogluon": Method(
        "fusion", "AutoGluon MultiModal, its own recipe",
        lambda task: AutoGluon(task.inputs, **_in_epochs(task)), package="autogluon.multimodal",
    ),
    "ceiling": Method(
        "the truth", "near-Bayes ceiling: the generator's clinical log-odds beside the image",
        lambda task: make_pipeline(side_by_side(columns(TRUTH), columns(FEATURES)), _logistic()),
        needs=(FEATURES, TRUTH),
    ),
}  # fmt: skip
METHODS |= {
    name: Method(sees, words, of_ours(sees, keywords), keywords=keywords)
    for name, (sees, words, keywords) in OURS.items()
}
METHODS |= {
    f"{sees}_candidate_{number}": Method(
        sees,
        f"candidate {number}",
        of_ours(sees, {"encoding": "spline"} | keywords),
        keywords={"encoding": "spline"},
    )
    for number, keywords in CANDIDATES.items()
    for sees in ("clinical", "fusion")
}
_SEEN = ("nothing", "clinical", "image", "fusion", "the truth")
METHODS = dict(sorted(METHODS.items(), key=lambda item: _SEEN.index(item[1].sees)))


def why_not(method, data_set):
    """Return why a method cannot run on a data set, None if it can."""
    if TRUTH in method.needs and not data_set.is_synthetic:
        return "nobody knows the truth of real data"
    if method.package is not None and not is_installed(method.package):
        return f"{method.package} is not installed"
    known = _known(make_clinical_transformer, make_fusion_pipeline, FusionClassifier)
    unknown = sorted(set(method.keywords or {}) - known)
    return f"this skosfusion has no {', '.join(unknown)}" if unknown else None


def usual():
    """Return the names of the methods that run where none is named: all but the candidates."""
    return [name for name in METHODS if "candidate" not in name]
