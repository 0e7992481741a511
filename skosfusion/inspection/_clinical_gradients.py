"""How much a class's score changes with each clinical value."""

import contextlib

import numpy as np
import pandas as pd
import torch
from sklearn.utils import Bunch
from sklearn.utils.validation import _num_samples
from torch import nn

from ._explained import copied_network
from ._fitted import target_codes, unwrap


def clinical_gradients(estimator, X, *, target=None):
    """Differentiate the score of a class with respect to each clinical value, row by row.

    The values are those that the network reads: normalized. A gradient of 0.5 for ALP says that,
    at this row's image and values, the logit of the class grows by 0.5 for each width of the kit's
    normal range. Gender's unit is the step from male to female, that of age 100 years. Of an input
    that has several columns, as with ``make_clinical_transformer(encoding="spline")``, it is the
    derivative along the normalized value, through all of them.

    Parameters
    ----------
    estimator : FusionClassifier or Pipeline
        Fitted; a Pipeline ends in a FusionClassifier.
    X : DataFrame or array-like of shape (n_samples, n_features)
        As for ``estimator.predict``.
    target : label, "predicted", array-like of shape (n_samples,) or None, default=None
        The class whose logit is differentiated: a label, one label a row, or ``"predicted"``, for
        each row the class of the highest probability. None: the positive class
        (``classes_[1]``) of two, ``"predicted"`` of more. Under ``"predicted"`` gradients of both
        classes mix, and their mean says little.

    Returns
    -------
    result : sklearn.utils.Bunch
        importances : ndarray of shape (n_samples, n_clinical)
            Derivatives of the logit, of any sign, float64.
        importances_mean : ndarray of shape (n_clinical,)
            Their mean over the rows.
        importances_std : ndarray of shape (n_clinical,)
            Their standard deviation over the rows.
        magnitudes_mean : ndarray of shape (n_clinical,)
            Mean of their absolute values.
        ratios : DataFrame of shape (n_clinical, n_clinical)
            Mean magnitude of the row's input divided by that of the column's, infinite or NaN where
            that is zero: the ALP : LDH ratio of the paper is ``ratios.loc["alp", "ldh"]`` (2.415
            there [1]_).
        feature_names : list of str
            Names of the clinical values, in the order of the columns.

    Raises
    ------
    NotFittedError
        If `estimator` is not fitted.
    TypeError
        If it is neither a FusionClassifier nor a Pipeline that ends in one.
    ValueError
        For a model without clinical inputs, an unknown `target`, and for tables that ``predict``
        would refuse.

    See Also
    --------
    ClinicalGradientsDisplay : Draw them.
    modality_importance : What the score loses without a group of inputs.

    References
    ----------
    .. [1] S. Wang, Y. Shen et al., "Osteosarcoma diagnosis by late fusion of radiographs,
       alkaline phosphatase and lactate dehydrogenase", section "Interpretability".

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from skosfusion import FusionClassifier, clinical_gradients
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> X = X[["mean radius", "mean texture"]].apply(scale)
    >>> classifier = FusionClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> result = clinical_gradients(classifier, X, target=0)
    >>> result.importances.shape, result.feature_names
    ((569, 2), ['mean radius', 'mean texture'])
    """
    fitted = unwrap(estimator)
    classifier = fitted.classifier
    if not fitted.clinical_names:
        raise ValueError(
            "the model has no clinical inputs, so there are no gradients of them; GradCAM explains "
            "the image"
        )
    if target is None and len(classifier.classes_) == 2:
        target = classifier.classes_.tolist()[1]
    table = fitted.transform(X)
    codes = target_codes(target, classifier.classes_, _num_samples(table))
    gradients = []
    # What is made in a caller's inference mode could not be differentiated.
    with torch.inference_mode(False):
        # Features stand for the images, so the encoder is not needed.
        network = copied_network(classifier.module_, nn.Identity())
        with contextlib.closing(classifier.input_batches(table)) as batches:
            for inputs, rows in batches:
                wanted = None if codes is None else torch.from_numpy(codes[rows.start : rows.stop])
                gradients.append(_gradients(network, inputs, wanted, len(rows)))
    by_column = np.concatenate(gradients).astype(np.float64)
    inputs = fitted.clinical_inputs(X)
    names = [name for name, _, _ in inputs]
    importances = np.column_stack(
        [(by_column[:, columns] * slope).sum(axis=1) for _, columns, slope in inputs]
    )
    magnitudes = np.abs(importances).mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = pd.DataFrame(magnitudes[:, None] / magnitudes, names, names)
    return Bunch(
        importances=importances,
        importances_mean=importances.mean(axis=0),
        importances_std=importances.std(axis=0),
        magnitudes_mean=magnitudes,
        ratios=ratios,
        feature_names=names,
    )


def _gradients(network, inputs, codes, n_rows):
    with torch.enable_grad():
        clinical = inputs["clinical"].clone().requires_grad_()
        # A copy, because a user's network may change it in place; and it may not use it at all.
        logits = network(**(inputs | {"clinical": clinical.clone()}))[:n_rows]
        codes = logits.argmax(dim=1) if codes is None else codes.to(logits.device)
        score = logits.gather(1, codes[:, None]).sum() + 0 * clinical.sum()
        (gradients,) = torch.autograd.grad(score, clinical)
    return gradients[:n_rows].cpu().numpy()
