"""Heatmaps of where an image holds evidence for a class."""

import contextlib

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import _num_samples
from torch.nn import functional

from .._utils.validation import check_choice
from ..network import network_identity
from ._explained import ExplainedNetwork
from ._fitted import target_codes, unwrap_with_image
from ._layers import find_feature_map

# What rounding leaves of a constant map, relative to its largest value.
_ROUNDING = 1e-6


def _gradcam(activations, gradients):
    weights = gradients.mean(dim=(2, 3))
    return torch.einsum("nc,nchw->nhw", weights, activations)


def _hirescam(activations, gradients):
    return (gradients * activations).sum(dim=1)


def _gradcam_plus_plus(activations, gradients):
    # Eq. 19 of the paper, divided by the squared gradient: no constant has to keep the denominator
    # from zero where the layer's output is not negative.
    positive = gradients.clamp(min=0)
    denominator = 2 + positive * activations.sum(dim=(2, 3), keepdim=True)
    coefficients = torch.where(denominator != 0, 1 / denominator, 0)
    weights = (coefficients * positive).sum(dim=(2, 3))
    return torch.einsum("nc,nchw->nhw", weights, activations)


_FROM_GRADIENTS = {
    "gradcam": _gradcam,
    "gradcam++": _gradcam_plus_plus,
    "hirescam": _hirescam,
}
_METHODS = *_FROM_GRADIENTS, "ablationcam"


def check_method(method):
    """Refuse a method that there is not."""
    check_choice("method", method, _METHODS)


class GradCAM(TransformerMixin, BaseEstimator):
    """Heatmaps of where each image holds evidence for a class, by Grad-CAM [1]_ and its kin.

    A transformer over a model that is fitted already. The last feature map of the encoder is
    weighted by what each of its channels does for the score (logit) of the class, with the sample's
    own clinical values at work. The model is only read: its mode, gradients, hooks and weights
    stay, and encoders that were fixed in training are explained like any other.

    Parameters
    ----------
    estimator : FusionClassifier or Pipeline
        Fitted, with an image column; a Pipeline ends in a FusionClassifier. ``clone`` would make
        it unfitted; `sklearn.frozen.FrozenEstimator` keeps it, and may be given here.
    layer : str or None, default=None
        Layer of the encoder, as its ``named_modules()`` has it, such as ``"layer3"``; None for the
        last feature map that all features come from (``"layer4"`` of a ResNet; of a vision
        transformer the tokens that its last block reads, without class token). Where a layer runs
        several times for an image, the last time counts.
    target : label, "predicted", array-like of shape (n_samples,) or None, default=None
        The class to explain: a label, or one label a row. ``"predicted"`` and None explain, for
        each row, the class of the highest probability.
    method : {"gradcam", "gradcam++", "hirescam", "ablationcam"}, default="gradcam"
        How channels are weighted. ``"gradcam"``: by the mean gradient [1]_. ``"gradcam++"``: by
        positive gradients, more where few places answer [2]_. ``"hirescam"``: by the gradient,
        place by place [3]_; equal to Grad-CAM where global average pooling follows.
        ``"ablationcam"``: without gradients, by how much the score falls without the channel [4]_;
        slow for layers within an encoder, where each channel may cost a pass.
    raw : bool, default=False
        Whether `transform` returns the weighted sums as they are: at the size of the layer, with
        their sign, neither enlarged nor scaled. Their unit is that of the logit; for
        ``"ablationcam"``, that of the logit times the layer's values.

    Attributes
    ----------
    layer_ : str
        Name of the layer in use.
    classes_ : ndarray of shape (n_classes,)
        The labels of `estimator`.
    n_features_in_ : int
        Columns that `estimator` was fitted on.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where it was fitted on a table with names.

    See Also
    --------
    GradCAMDisplay : Draw the heatmaps.
    localization_scores : Compare heatmaps with boxes.

    Notes
    -----
    Maps are scaled for each image alone: negative sums become 0, the map is enlarged (bilinear),
    its smallest value becomes 0 and its largest 1. A map says *where*, not how sure the model is,
    and values of two images do not compare; `raw` values do. Where no place holds evidence for the
    class, or all hold the same, the map is 0 everywhere.

    Images are encoded 16 at a time (128 on an accelerator; up to 4 alone are not padded to that),
    the encoder as in prediction: batch normalization folded (but for single convolutions as
    `layer`), bf16 where the classifier uses it, by its engine ("fused" for "compiled", before the
    layer alone), images taken from where they are kept. What follows the layer is differentiated,
    nothing before it. With ``unfreeze``, predictions round what goes into the stage to bf16; here
    the whole encoder runs without that.

    Departures: Grad-CAM++ is computed without the small constants that implementations add to its
    denominator, which outweigh it where gradients are small. Ablation-CAM's drops are not
    divided by the score, which would turn the map around for a negative one.

    References
    ----------
    .. [1] R. R. Selvaraju et al., "Grad-CAM: Visual explanations from deep networks via
       gradient-based localization", ICCV 2017, Eq. 1 and 2.
    .. [2] A. Chattopadhay et al., "Grad-CAM++: Generalized gradient-based visual explanations for
       deep convolutional networks", WACV 2018, Eq. 19.
    .. [3] R. L. Draelos, L. Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of
       convolutional neural networks", arXiv:2011.08891.
    .. [4] S. Desai, H. G. Ramaswamy, "Ablation-CAM: Visual explanations for deep convolutional
       network via gradient-free localization", WACV 2020.

    Examples
    --------
    >>> import tempfile
    >>> from skosfusion import GradCAM, make_fusion_pipeline
    >>> from skosfusion.datasets import make_osteosarcoma_cohort
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cohort = make_osteosarcoma_cohort(n_patients=4, image_size=64, data_home=folder)
    ...     pipeline = make_fusion_pipeline(
    ...         weights=None, image_size=64, max_epochs=1, frozen_epochs="all", random_state=0
    ...     ).fit(cohort.data, cohort.target)
    ...     heatmaps = GradCAM(pipeline, target=1).fit_transform(cohort.data)
    >>> heatmaps.shape, heatmaps.dtype.name
    ((12, 64, 64), 'float32')
    """

    def __init__(self, estimator, *, layer=None, target=None, method="gradcam", raw=False):
        self.estimator = estimator
        self.layer = layer
        self.target = target
        self.method = method
        self.raw = raw

    def fit(self, X=None, y=None):
        """Check estimator and parameters; there is nothing to learn.

        Parameters
        ----------
        X : DataFrame or None, default=None
            Not used.
        y : None
            Not used.

        Returns
        -------
        GradCAM
            The transformer itself.

        Raises
        ------
        TypeError, NotFittedError, ValueError
            As `transform`.
        """
        self._check()
        return self

    def _check(self):
        check_method(self.method)
        fitted = unwrap_with_image(self.estimator)
        network, size = fitted.classifier.module_, fitted.image_size
        n_channels = network.pixel_mean.shape[1]
        identity = network_identity(network)
        feature_map = find_feature_map(
            network.encoder, size, self.layer, n_channels=n_channels, identity=identity
        )
        if np.ndim(self.target) == 0:
            target_codes(self.target, fitted.classifier.classes_, 0)
        return fitted, feature_map, identity

    def transform(self, X):
        """Make the heatmap of each row's image.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_features)
            As for ``estimator.predict``.

        Returns
        -------
        ndarray of shape (n_samples, image_size, image_size)
            Heatmaps, float32, in [0, 1], on the pixels that the network sees; with ``raw=True``
            of shape (n_samples, height, width) as the layer's output, and of any sign.

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        TypeError
            If it is neither a FusionClassifier nor a Pipeline that ends in one.
        ValueError
            For a model without image branch, an unknown `method`, `target` or `layer` (the error
            lists those there are), a layer without spatial extent or without influence, and for
            tables that ``predict`` would refuse.
        FileNotFoundError, ImageError
            For an image that is missing or unreadable, with file and row.
        FloatingPointError
            If the layer outputs values that are not finite.
        """
        fitted, feature_map, identity = self._check()
        table = fitted.transform(X)
        codes = target_codes(self.target, fitted.classifier.classes_, _num_samples(table))
        # What is made in a caller's inference mode could not be differentiated.
        with torch.inference_mode(False):
            explained = ExplainedNetwork(
                fitted.classifier.module_, identity, feature_map, fitted.image_size,
                _num_samples(table),
            )  # fmt: skip
            with contextlib.closing(explained):
                return self._heatmaps(fitted.classifier, explained, feature_map, table, codes)

    def _heatmaps(self, classifier, explained, feature_map, table, codes):
        heatmaps = None
        with contextlib.closing(classifier.input_batches(table, pixels=True)) as batches:
            for inputs, rows in batches:
                maps = self._explain(explained, inputs, codes, rows)
                if not torch.isfinite(maps).all():
                    raise FloatingPointError(
                        f"layer={feature_map.name!r} outputs values that are not finite for rows "
                        f"{rows.start} to {rows.stop - 1}; fit with precision='fp32' and a lower lr"
                    )
                if not self.raw:
                    maps = _scaled(maps, inputs["image"].shape[-1])
                if heatmaps is None:
                    heatmaps = np.empty((_num_samples(table), *maps.shape[1:]), np.float32)
                heatmaps[rows.start : rows.stop] = maps.cpu().numpy()
        return heatmaps

    def _explain(self, explained, inputs, codes, rows):
        if codes is not None:
            codes = torch.from_numpy(np.resize(codes[rows.start : rows.stop], len(inputs["image"])))
            codes = codes.to(inputs["clinical"].device)
        if self.method == "ablationcam":
            activations, drops = explained.activations_and_score_drops(inputs, codes, len(rows))
            return torch.einsum("nc,nchw->nhw", drops, activations)
        activations, gradients = explained.activations_and_gradients(inputs, codes)
        return _FROM_GRADIENTS[self.method](activations, gradients)[: len(rows)]

    @property
    def layer_(self):
        """Name of the layer in use."""
        try:
            return self._check()[1].name
        except (TypeError, ValueError) as error:
            # What lists attributes, such as the display in notebooks, takes no other error.
            raise AttributeError(f"there is no layer: {error}") from error

    @property
    def classes_(self):
        """The labels of the estimator."""
        return self.estimator.classes_

    @property
    def n_features_in_(self):
        """Columns that the estimator was fitted on."""
        return self.estimator.n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the columns that the estimator was fitted on."""
        return self.estimator.feature_names_in_

    def __sklearn_is_fitted__(self):
        try:
            unwrap_with_image(self.estimator)
        except (TypeError, ValueError):
            return False
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _scaled(maps, size):
    """Keep the evidence for the class, enlarge it, and scale each map to [0, 1]."""
    maps = functional.interpolate(
        maps.clamp(min=0)[:, None], size=(size, size), mode="bilinear", align_corners=False
    )[:, 0]
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    spread = high - low
    is_flat = spread <= _ROUNDING * high
    return torch.where(is_flat, 0, (maps - low) / torch.where(is_flat, 1, spread))
