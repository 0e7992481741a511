"""The classifier: tables in, labels out, with the fusion network between."""

import numpy as np
import torch
from sklearn.utils import check_consistent_length
from sklearn.utils.class_weight import compute_class_weight
from skorch.callbacks import EpochScoring, EpochTimer, PassthroughScoring

from ..network import FusionNetwork, load_encoder_state
from ._callbacks import EpochProgress, MilestoneScheduler
from ._checks import check_parameters
from ._dataset import FusionDataset
from ._device import resolve_device, resolve_encoder_dtype
from ._saving import SavableNet
from ._targets import check_groups, check_labels, check_sample_weight, classes_in_use

# In one pass over the parameters: a tenth of the time of an epoch with a fixed encoder. SGD gains
# nothing, and its fused form fails when an encoder that was fixed begins to train.
_FUSED_OPTIMIZERS = torch.optim.Adam, torch.optim.AdamW


class FusionClassifier(SavableNet):
    """Late fusion of one image and clinical values a sample, as a classifier.

    An image encoder gives a feature vector, the clinical values are appended,
    and a two-layer perceptron decides [1]_. The defaults are the paper's recipe:
    ResNet18 with ImageNet weights, 50 epochs, batches of 256, cross entropy,
    a learning rate of 0.01 that is divided by 10 after epochs 20, 35 and 45.

    While the encoder is fixed, each image is encoded once, and its features
    serve every epoch, fold and grid point of the process.

    Parameters
    ----------
    module : type, default=FusionNetwork
        The network class; it is called with the arguments of `FusionNetwork`.
    image_column : str or None, default=None
        Column of `X` that holds paths of image files. All other columns are
        clinical values. None: clinical values only.
    backbone : str or type, default="resnet18"
        The image encoder: name of a torchvision classification model, or a
        ``torch.nn.Module`` class that is called without arguments.
    weights : str, path-like or None, default="IMAGENET1K_V1"
        Initial weights of the encoder: a torchvision weights name, None for
        random ones, or the path of a state dict (``.safetensors``, or ``.pth``
        read with ``weights_only=True``). Not used without an image column.
    hidden_units : int, default=512
        Width of the hidden layer.
    frozen_epochs : int or "all", default=0
        For this number of first epochs the encoder is fixed, then everything
        trains; "all" keeps it fixed throughout.
    lr_milestones : tuple of int or None, default=(20, 35, 45)
        After these epochs, counted over continued fits, the learning rate is divided by 10.
    image_size : int, default=224
        Images are resized to this height and width, in pixels.
    image_options : dict or None, default=None
        Further options of `skosfusion.images.read_image`, such as
        ``{"contrast": "clahe", "minimum_side": 224}``.
    missing_images : {"error", "zero"}, default="error"
        What becomes of rows without an image (None or NaN): an error, or features of 0 in the
        image's place. In `fit` at least one row must have an image.
    precision : {"auto", "fp32", "bf16"}, default="auto"
        Number format of the encoder. "auto" is bf16 mixed precision where the
        hardware multiplies it natively, and fp32 elsewhere.
    memory : str, path-like or None, default=None
        Folder in which decoded pictures, and the features of a fixed torchvision
        encoder, are kept between runs and shared by processes; pictures then take no
        memory. None: both are kept within the process only.
    class_weight : "balanced", dict or None, default=None
        Weight of each class in the loss, as in scikit-learn.
    random_state : int, RandomState instance or None, default=None
        Decides initial weights and the order of samples. The same integer gives the
        same result on the same machine; where the encoder trains, with the same
        number of threads only (a worker process of joblib has fewer than its parent).
    device : str or torch.device, default="auto"
        Where to compute. "auto" takes CUDA where there is one.
    criterion : type, default=torch.nn.CrossEntropyLoss
        The loss.
    optimizer : type, default=torch.optim.SGD
        The optimiser. For SGD, the momentum is 0.9 unless ``optimizer__momentum``
        says otherwise; the paper names neither.
    lr : float, default=0.01
        Initial learning rate.
    max_epochs : int, default=50
        Epochs of training.
    batch_size : int, default=256
        Samples in a training batch. A last batch of one sample joins the one before.
    train_split : callable or None, default=None
        Inner validation split, such as ``skorch.dataset.ValidSplit(5)``; with
        `groups` in `fit` it keeps patients together. Unlike skorch's default,
        None trains on all samples.
    callbacks : list or None, default=None
        Further skorch callbacks.
    warm_start : bool, default=False
        Whether `fit` goes on from the last fit.
    verbose : int, default=1
        0 shows no progress on long fits.
    **kwargs
        skorch's other parameters, such as ``optimizer__momentum``,
        ``iterator_train__num_workers`` or ``callbacks__lr_scheduler=None``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    n_features_in_ : int
        Columns of `X`, the image column included.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of these columns; only for tables with names.
    module_ : FusionNetwork
        The trained network.
    history_ : skorch.history.History
        Loss and learning rate of each epoch.

    See Also
    --------
    skosfusion.make_clinical_transformer : Normalise the clinical columns.
    skosfusion.make_fusion_pipeline : Both in one pipeline.

    Notes
    -----
    A fit that fails or is interrupted leaves the classifier un-fitted; input
    that is refused before training leaves an earlier fit as it was.

    References
    ----------
    .. [1] S. Wang, Y. Shen et al., "Osteosarcoma diagnosis by late fusion of radiographs,
       alkaline phosphatase and lactate dehydrogenase", section "Approach and
       experimental design".

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from skosfusion import FusionClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> classifier = FusionClassifier(max_epochs=5, random_state=0).fit(scale(X), y)
    >>> classifier.predict_proba(scale(X)).shape
    (569, 2)
    """

    def __init__(
        self,
        module=FusionNetwork,
        *,
        image_column=None,
        backbone="resnet18",
        weights="IMAGENET1K_V1",
        hidden_units=512,
        frozen_epochs=0,
        lr_milestones=(20, 35, 45),
        image_size=224,
        image_options=None,
        missing_images="error",
        precision="auto",
        memory=None,
        class_weight=None,
        random_state=None,
        device="auto",
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=0.01,
        max_epochs=50,
        batch_size=256,
        train_split=None,
        callbacks=None,
        warm_start=False,
        verbose=1,
        **kwargs,
    ):
        super().__init__(
            module,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            train_split=train_split,
            callbacks=callbacks,
            warm_start=warm_start,
            verbose=verbose,
            device=device,
            **kwargs,
        )
        self.image_column = image_column
        self.backbone = backbone
        self.weights = weights
        self.hidden_units = hidden_units
        self.frozen_epochs = frozen_epochs
        self.lr_milestones = lr_milestones
        self.image_size = image_size
        self.image_options = image_options
        self.missing_images = missing_images
        self.precision = precision
        self.memory = memory
        self.class_weight = class_weight
        self.random_state = random_state

    @property
    def _default_callbacks(self):
        callbacks = [
            ("epoch_timer", EpochTimer()),
            ("train_loss", PassthroughScoring(name="train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring(name="valid_loss")),
            ("valid_acc", EpochScoring("accuracy", name="valid_acc", lower_is_better=False)),
        ]
        # skorch lists the callbacks of parameters that nothing has checked yet, too.
        if isinstance(self.lr_milestones, (tuple, list)) and self.lr_milestones:
            callbacks.append(("lr_scheduler", MilestoneScheduler(tuple(self.lr_milestones))))
        return [*callbacks, ("progress", EpochProgress())]

    def fit(self, X, y, sample_weight=None, *, groups=None):
        """Train the network.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            Clinical values, and the image column if one is declared.
        y : array-like of shape (n_samples,)
            Labels of any kind.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each sample in the loss, 0 or more, beside that of its class. A weight
            of 2 counts as two samples in the mean over a batch; samples of weight 0 do not train.
        groups : array-like of shape (n_samples,) or None, default=None
            Patient of each sample; an inner validation split keeps patients together.

        Returns
        -------
        FusionClassifier
            The classifier itself.

        Raises
        ------
        ValueError, TypeError
            For parameters, tables or labels that cannot be used; before training.
        FileNotFoundError, ImageError
            For an image that is missing or unreadable, with file and row; before training.
        WeightsError
            If the initial weights cannot be had or do not fit.
        FloatingPointError
            If the loss stops being a finite number.
        """
        anew = not (self.warm_start and self.initialized_)
        return self._fit(X, y, sample_weight, groups, anew=anew)

    def partial_fit(self, X, y, classes=None, sample_weight=None, *, groups=None):
        """Train for `max_epochs` more, going on from the last fit if there is one.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            As in `fit`.
        y : array-like of shape (n_samples,)
            As in `fit`.
        classes : array-like of shape (n_classes,) or None, default=None
            All labels that will occur; only for the first call, None takes those in `y`.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            As in `fit`.
        groups : array-like of shape (n_samples,) or None, default=None
            As in `fit`.

        Returns
        -------
        FusionClassifier
            The classifier itself.
        """
        anew = not self.initialized_
        return self._fit(X, y, sample_weight, groups, anew=anew, classes=classes)

    def _check_training_data(self, X, y, sample_weight, groups, *, anew, given):
        check_parameters(self)
        clinical, paths = self._check_inputs(X, reset=anew)
        check_consistent_length(clinical, y, groups)
        weights = check_sample_weight(sample_weight, clinical)
        codes, classes = check_labels(y, given if anew else self.classes_)
        if weights is not None and anew and given is None:
            codes, classes = classes_in_use(codes, classes, weights)
        if anew:
            self.classes_inferred_ = classes
            self._class_weights_ = self._weigh_classes(codes, weights)
        groups = check_groups(groups)
        return FusionDataset(clinical, codes, paths=paths, groups=groups, sample_weight=weights)

    def _weigh_classes(self, codes, sample_weight):
        if self.class_weight is None:
            return None
        weights = compute_class_weight(
            self.class_weight,
            classes=self.classes_,
            y=self.classes_[codes],
            sample_weight=sample_weight,
        )
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
            raise ValueError(
                f"class_weight={self.class_weight!r} gives the weights {weights.tolist()}; they "
                "must be finite, 0 or more, and not all zero"
            )
        return torch.as_tensor(weights, dtype=torch.float32)

    def initialize_module(self):
        """Build the network for the inputs and classes that `fit` found.

        Returns
        -------
        FusionClassifier
            The classifier itself.
        """
        arguments = self._module_arguments()
        state = vars(self).pop("_encoder_state_to_restore_", None)
        if self.image_column is not None and state is None:
            state = load_encoder_state(self.backbone, self.weights)
        self.module_ = self.module(**({"encoder_state": state} | arguments))
        self._encoder_has_trained_ = False
        return self

    def _module_arguments(self):
        has_image = self.image_column is not None
        arguments = {
            "n_clinical": self.n_features_in_ - has_image,
            "n_classes": len(self.classes_),
            "backbone": self.backbone if has_image else None,
            "hidden_units": self.hidden_units,
            "image_size": self.image_size,
            "encoder_dtype": resolve_encoder_dtype(self.precision, resolve_device(self.device)),
        }
        return arguments | self.get_params_for("module")

    def get_params_for_optimizer(self, prefix, named_parameters):
        """Collect the optimiser's arguments; SGD gets its momentum here, and some run fused.

        Parameters
        ----------
        prefix : str
            Name of the optimiser.
        named_parameters : iterable of (str, Parameter)
            What to train.

        Returns
        -------
        args : tuple
            Parameter groups.
        kwargs : dict
            Learning rate and the like.
        """
        args, kwargs = super().get_params_for_optimizer(prefix, named_parameters)
        if self.optimizer is torch.optim.SGD:
            kwargs.setdefault("momentum", 0.9)
        if (
            self.optimizer in _FUSED_OPTIMIZERS
            and not {"foreach", "differentiable"} & kwargs.keys()
        ):
            kwargs.setdefault("fused", torch.device(self.device).type in ("cpu", "cuda"))
        return args, kwargs

    def initialize_criterion(self):
        """Build the loss, weighted by class if so asked.

        Returns
        -------
        FusionClassifier
            The classifier itself.
        """
        arguments = self.get_params_for("criterion")
        if self._class_weights_ is not None:
            arguments.setdefault("weight", self._class_weights_)
        self.criterion_ = self.initialized_instance(self.criterion, arguments)
        return self
