"""The whole method as one scikit-learn pipeline."""

from sklearn.pipeline import Pipeline

from ._utils.validation import check_choice
from .preprocessing import make_clinical_transformer

# Parameters of the classifier, and of the clinical transformer. How "robust" was chosen, and what
# failed, is in docs/recipe.md.
_RECIPES = {
    "paper": ({}, {}),
    "robust": (
        {"head": "linear", "feature_scaling": "global", "frozen_epochs": "all", "C": 0.01},
        {"encoding": "spline"},
    ),
}


def clinical_options(recipe):
    """Return the parameters of the clinical transformer that a recipe has."""
    check_choice("recipe", recipe, tuple(_RECIPES))
    return dict(_RECIPES[recipe][1])


def make_fusion_pipeline(*, recipe="paper", image="image", clinical=None, **params):
    """Make the whole method: normalize the clinical columns, then fuse and classify.

    Parameters
    ----------
    recipe : {"paper", "robust"}, default="paper"
        "paper": the paper's method to the letter, which are the defaults of its two steps.
        "robust": what did best on our data sets, small ones too, see ``docs/recipe.md``: the
        encoding "spline" of the clinical values, and on the features of a fixed encoder, under one
        global scale, a linear head.
    image : str or None, default="image"
        Column with the paths of the image files; None for clinical values only.
    clinical : ColumnTransformer or None, default=None
        Transformer of the clinical columns; None takes ``make_clinical_transformer(image=image)``
        in the encoding of the recipe, with the paper's four inputs.
    **params
        Parameters of `FusionClassifier`; they go before those of the recipe.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps "clinical" and "classifier". An input is switched off with
        ``set_params(clinical__alp="drop")``.

    Raises
    ------
    ValueError
        For another recipe.

    See Also
    --------
    make_clinical_transformer : The first step.
    FusionClassifier : The second step.

    Examples
    --------
    >>> from skosfusion import make_fusion_pipeline
    >>> pipeline = make_fusion_pipeline(frozen_epochs="all", random_state=0)
    >>> list(pipeline.named_steps)
    ['clinical', 'classifier']
    >>> make_fusion_pipeline(recipe="robust")["classifier"].head
    'linear'
    """
    # Loading torch takes seconds, which who checks a table need not wait for.
    from .classifier import FusionClassifier

    check_choice("recipe", recipe, tuple(_RECIPES))
    of_classifier, of_clinical = _RECIPES[recipe]
    if clinical is None:
        clinical = make_clinical_transformer(image=image, **of_clinical)
    classifier = FusionClassifier(image_column=image, **(of_classifier | params))
    return Pipeline([("clinical", clinical), ("classifier", classifier)])
