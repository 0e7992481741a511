"""The whole method as one scikit-learn pipeline."""

from sklearn.pipeline import Pipeline

from .classifier import FusionClassifier
from .preprocessing import make_clinical_transformer


def make_fusion_pipeline(*, image="image", clinical=None, **params):
    """Make the paper's method: normalize the clinical columns, then fuse and classify.

    Parameters
    ----------
    image : str or None, default="image"
        Column with the paths of the image files; None for clinical values only.
    clinical : ColumnTransformer or None, default=None
        Transformer of the clinical columns; None takes
        ``make_clinical_transformer(image=image)``, the paper's four inputs.
    **params
        Parameters of `FusionClassifier`; its defaults are the paper's settings.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps "clinical" and "classifier". An input is switched off with
        ``set_params(clinical__alp="drop")``.

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
    """
    if clinical is None:
        clinical = make_clinical_transformer(image=image)
    classifier = FusionClassifier(image_column=image, **params)
    return Pipeline([("clinical", clinical), ("classifier", classifier)])
