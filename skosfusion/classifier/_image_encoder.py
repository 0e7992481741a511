"""Features of images as a transformer, for any estimator of scikit-learn to learn from."""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils.locks import DRAWING
from .._utils.memory import kept_memory
from .._utils.working_folder import SendersFolder
from ..network import FusionNetwork, input_of_encoder, load_encoder_state
from ._checks import check_paths
from ._device import one_thread_where_more_do_harm, resolve_device, resolve_encoder_dtype
from ._image_inputs import ImageInputs
from ._parameters import check_some_parameters
from ._random import seeded


class ImageEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """The features of a fixed image encoder, one row an image.

    They are those that `FusionClassifier` with ``frozen_epochs="all"`` learns from, of the same
    caches: logistic regression, boosting and the like can stand beside it in one search, and each
    image is still encoded once. Nothing is learned from the images.

    Parameters
    ----------
    backbone : str or callable, default="resnet18"
        The image encoder, as in `FusionClassifier`.
    weights : str, path-like or None, default="DEFAULT"
        Weights of the encoder, as in `FusionClassifier`; None draws random ones.
    image_size : int or None, default=None
        Images are resized to this height and width, in pixels; None takes the size of the weights.
    image_options : dict or None, default=None
        Further options of `skosfusion.images.read_image`.
    pixel_mean, pixel_std : float, tuple of 1 or 3 float, or None, default=None
        Mean and standard deviation of pixels from 0 to 1, as in `FusionClassifier`.
    missing_images : {"error", "zero"}, default="error"
        What becomes of rows without an image: an error, or features of 0.
    precision : {"auto", "fp32", "bf16"}, default="auto"
        Number format of the encoder.
    engine : {"auto", "eager", "fused", "compiled"}, default="auto"
        What computes the features, as in `FusionClassifier`.
    memory : str, path-like or None, default=None
        Folder in which decoded images and features are kept between runs.
    random_state : int, RandomState instance or None, default=None
        Decides random weights; not used with others.
    device : str or torch.device, default="auto"
        Where to compute.
    verbose : int, default=0
        0 shows no progress.

    Attributes
    ----------
    network_ : FusionNetwork
        The network that holds the encoder.
    image_size_ : int
        Height and width to which images are resized.
    n_features_in_ : int
        1, the column of images.
    feature_names_in_ : ndarray of shape (1,)
        Its name; only for tables with names.

    See Also
    --------
    FusionClassifier : Learns from features and clinical values, and can train the encoder.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skosfusion import ImageEncoder
    >>> from skosfusion.datasets import make_osteosarcoma_cohort
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cohort = make_osteosarcoma_cohort(n_patients=4, image_size=64, data_home=folder)
    ...     encoder = ImageEncoder(weights=None, image_size=32, random_state=0)
    ...     features = make_column_transformer((encoder, ["image"]))
    ...     model = make_pipeline(features, LogisticRegression()).fit(cohort.data, cohort.target)
    >>> model[-1].n_features_in_
    512
    """

    def __init__(
        self,
        backbone="resnet18",
        *,
        weights="DEFAULT",
        image_size=None,
        image_options=None,
        pixel_mean=None,
        pixel_std=None,
        missing_images="error",
        precision="auto",
        engine="auto",
        memory=None,
        random_state=None,
        device="auto",
        verbose=0,
    ):
        self.backbone = backbone
        self.weights = weights
        self.image_size = image_size
        self.image_options = image_options
        self.pixel_mean = pixel_mean
        self.pixel_std = pixel_std
        self.missing_images = missing_images
        self.precision = precision
        self.engine = engine
        self.memory = memory
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def fit(self, X, y=None):
        """Build the encoder; images are not read.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, 1)
            Paths of image files.
        y : None, default=None
            Not used.

        Returns
        -------
        ImageEncoder
            The transformer itself.

        Raises
        ------
        ValueError, TypeError
            For parameters or tables that cannot be used.
        WeightsError
            If the weights cannot be had or do not fit.
        """
        check_some_parameters(self)
        paths = self._paths(X, reset=True)
        size, device = self.image_size, resolve_device(self.device)
        if size is None:
            size = input_of_encoder(self.backbone, self.weights).image_size
        state = load_encoder_state(self.backbone, self.weights)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        with seeded(seed, device), DRAWING:
            network = FusionNetwork(
                0,
                2,
                backbone=self.backbone,
                encoder_state=state,
                hidden_units=1,
                image_size=size,
                encoder_dtype=resolve_encoder_dtype(self.precision, device),
                pixel_mean=self.pixel_mean,
                pixel_std=self.pixel_std,
            )
        self.network_ = network.eval().freeze_encoder().to(device)
        self.image_size_, self.options_ = size, dict(self.image_options or {})
        self._inputs().settle_engine(self.engine, len(paths), is_fixed=True)
        self._n_features_out = self.network_.n_features
        return self

    def transform(self, X):
        """Give the features of each image.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, 1)
            Paths of image files.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Features, float32.

        Raises
        ------
        FileNotFoundError, ImageError, TypeError, ValueError
            For an image that is missing or unreadable, with file and row.
        """
        check_is_fitted(self)
        paths = self._paths(X, reset=False)
        with one_thread_where_more_do_harm(), kept_memory:
            return self._inputs().features(paths)

    def _inputs(self):
        return ImageInputs(
            self.network_,
            {"image_size": self.image_size_, **self.options_},
            memory=self.memory,
            verbose=self.verbose,
        )

    def _paths(self, X, *, reset):
        """Check the one column of paths."""
        if isinstance(X, pd.Series):
            X = X.to_frame()
        if np.ndim(X) != 2 or np.shape(X)[1] != 1:
            raise ValueError(
                f"X has the shape {np.shape(X)}; ImageEncoder takes one column of image paths, "
                "such as X[['image']]; other columns go beside it in a ColumnTransformer"
            )
        validate_data(self, X, reset=reset, skip_check_array=True)
        if not isinstance(X, pd.DataFrame):
            X = pd.DataFrame(np.asarray(X, dtype=object), columns=["image"])
        return check_paths(X.iloc[:, 0], keep_missing=self.missing_images == "zero")

    def __getstate__(self):
        # Worker processes read relative paths of images, weights and memory as the sender does.
        return super().__getstate__() | {"senders_folder": SendersFolder()}

    def __setstate__(self, state):
        super().__setstate__({k: v for k, v in state.items() if k != "senders_folder"})

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.requires_fit = True
        return tags
