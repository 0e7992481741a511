"""The classifier: tables in, labels out, with the fusion network between."""

import contextlib
import copy

import torch
from sklearn.utils import check_consistent_length
from sklearn.utils.metaestimators import available_if
from skorch.callbacks import EpochScoring, EpochTimer, PassthroughScoring
from skorch.dataset import Dataset
from skorch.utils import is_dataset, params_for, to_tensor
from torch.utils.data import DataLoader

from .._utils.locks import DRAWING
from .._utils.memory import kept_memory
from .._utils.progress import progress_bar
from .._utils.working_folder import SendersFolder
from ..network import FusionNetwork, input_of_encoder, load_encoder_state
from ._augmentation import augmentation_of, try_augmentation
from ._callbacks import EpochProgress, FeedImages, MilestoneScheduler, feed_images
from ._checks import (
    check_groups,
    check_indicators,
    check_inputs,
    check_labels,
    check_sample_weight,
    classes_in_use,
    refuse_images_of_no_weight,
    refuse_unknown_arguments,
    weigh_classes,
)
from ._combinations import USUAL_C, check_combination, refuse_going_on
from ._components import check_components, check_parameter_groups
from ._dataset import FusionDataset, explained_lone_row, split_dataset
from ._device import one_thread_where_more_do_harm, resolve_device, resolve_encoder_dtype
from ._feature_scale import scale_features
from ._image_inputs import ImageInputs, divide_encoder
from ._linear_head import fit_linear_head
from ._log_odds import has_log_odds, predict_log_odds
from ._net import ConventionalNet, padded
from ._parameters import check_parameters

# They update all parameters in one pass, which saves a tenth of an epoch with a fixed encoder. SGD
# gains nothing, and its fused form fails when an encoder that was fixed begins to train.
_FUSED_OPTIMIZERS = torch.optim.Adam, torch.optim.AdamW


class FusionClassifier(ConventionalNet):
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
    backbone : str or callable, default="resnet18"
        The image encoder: name of a torchvision classification model, "timm:NAME" for a model of
        timm, or what makes a ``torch.nn.Module`` when called without arguments, such as a class
        or a `functools.partial`.
    weights : str, path-like or None, default="DEFAULT"
        Initial weights of the encoder: a weights name of torchvision or timm, None for
        random ones, or the path of a file of weights (``.safetensors``, ``.pth``, ``.pt``,
        ``.ckpt``, ``.bin``), from which nothing is run. The part of the file that is the encoder is
        found, in inner dicts and below prefixes such as "module."; what was taken and what was left
        is logged at level INFO. "DEFAULT" are those that the library prefers, for ResNet18
        "IMAGENET1K_V1". Not used without an image column.
    head : {"mlp", "linear"}, default="mlp"
        What decides on features and clinical values. "mlp": the paper's two layers. "linear": one
        layer with an L2 penalty, which is logistic regression; it is fitted to convergence on all
        samples at once, with `C` in place of the optimizer, its rate, epochs and batches.
    fusion : {"concat", "gated"}, default="concat"
        How image and clinical values meet. "concat": appended to each other, as in the paper.
        "gated": each side has a hidden layer, and a gate that sees both weighs them sample by
        sample; see `skosfusion.network.GatedHead`. It knows what is missing by
        ``missing_images="zero"`` and by columns such as ``alp_missing``.
    feature_scaling : {None, "global"}, default=None
        "global": the features of a fixed encoder less their mean in training are divided by one
        number, the root of their mean variance. It is not a z-score of each feature, which makes
        noise of features that hardly vary as loud as the others.
    C : float, default=0.01
        Inverse of the strength of the penalty of a linear head, above 0, as in scikit-learn's
        `LogisticRegression`; the loss is summed over the samples.
    hidden_units : int, default=512
        Width of the hidden layer.
    head_dropout : float, default=0.0
        Share of the hidden units that a training step leaves out at random, from 0 to below 1.
    modality_dropout : float, default=0.2
        Share of the samples of a training step in which gated fusion hides the image, all clinical
        inputs that may be missing, or one of these, so that it learns to do without; from 0 to
        below 1.
    frozen_epochs : int or "all", default=0
        For this number of first epochs the encoder is fixed, then everything
        trains; "all" keeps it fixed throughout.
    unfreeze : str or None, default=None
        Name of a stage of the encoder on its main path, such as ``"layer4"``: it and what runs
        after it trains, and what lies below stays fixed throughout. What goes into the stage is
        computed once an image and kept as features are, rounded to bf16. None: where the encoder
        trains, all of it does.
    augmentation : callable or None, default=None
        Random change of each training image: a transform of torchvision, such as
        ``v2.RandomRotation(5)``, one of albumentations, or a function of a uint8 tensor (channels,
        height, width), of one channel where the image is gray, that returns another of the same
        shape. Its random numbers follow from `random_state`. It acts after the fixed epochs, and
        in training alone: not in validation, prediction or heatmaps.
    lr_milestones : tuple of int or None, default=(20, 35, 45)
        After these epochs, counted over continued fits, the learning rate is divided by 10.
    image_size : int or None, default=None
        Images are resized to this height and width, in pixels. None takes the size that torchvision
        or timm give for the weights, and 224 for others.
    image_options : dict or None, default=None
        Further options of `skosfusion.images.read_image`, such as
        ``{"contrast": "clahe", "minimum_side": 224}``.
    pixel_mean, pixel_std : float, tuple of 1 or 3 float, or None, default=None
        Mean and standard deviation of red, green and blue, of pixels from 0 to 1, that `weights`
        were trained with. None takes those that torchvision or timm give for their weights, and
        ImageNet's for others. One number each says that the encoder reads one channel, gray.
    missing_images : {"error", "zero"}, default="error"
        What becomes of rows without an image (None or NaN): an error, or features of 0 in the
        image's place. In `fit` at least one row must have an image.
    precision : {"auto", "fp32", "bf16"}, default="auto"
        Number format of the encoder. "auto" is bf16 mixed precision where the
        hardware multiplies it natively, and fp32 elsewhere.
    engine : {"auto", "eager", "fused", "compiled"}, default="auto"
        What computes the features of a fixed encoder, predictions and heatmaps. "eager": torch,
        layer by layer. "fused": oneDNN's convolutions with activation and addition in one pass.
        "compiled": torch's compiler, once an encoder, which needs one for C++ and pays from
        thousands of images on; what it makes is kept below ``~/.cache/skosfusion``, or
        ``$XDG_CACHE_HOME``. "auto" is "fused" where the encoder is one of torchvision on a
        processor, "compiled" there for 10,000 images or more in bf16, and else "eager"; a folder
        `memory` keeps what was decided first for an encoder, for all that can do the same. What is
        named and cannot be had here is a warning, and the engine named before it computes;
        ``module_.engine`` says what has. Engines differ in the last digits.
    memory : str, path-like or None, default=None
        Folder in which decoded images, and the features of a fixed encoder, are kept
        between runs and shared by processes; images then take no memory. None: both are
        kept within the process only.
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
        The optimizer. For SGD, the momentum is 0.9 unless ``optimizer__momentum``
        says otherwise; the paper names neither.
    lr : float, default=0.01
        Initial learning rate.
    max_epochs : int, default=50
        Epochs of training.
    batch_size : int, default=256
        Samples in a training batch. A last batch of one sample joins the one before.
    steps_per_epoch : int or None, default=None
        Batches in an epoch: samples come round as often as that takes, so that training is as long
        with few samples as with many. None: each sample comes once an epoch, and 50 epochs of 200
        samples in batches of 256 are 50 steps, where the paper took about 450.
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
    iterator_train : type, default=DataLoader
        Loader of training batches.
    iterator_valid : type, default=DataLoader
        Loader of batches to validate on and to predict from.
    dataset : type, default=Dataset
        Not used: the classifier makes datasets of its own.
    predict_nonlinearity : callable, "auto" or None, default="auto"
        What turns logits into probabilities; "auto" is softmax for cross entropy.
    compile : bool, default=False
        Whether torch compiles the network.
    use_caching : bool or "auto", default="auto"
        Whether scoring callbacks use the predictions of the validation step.
    torch_load_kwargs : dict or None, default=None
        Arguments with which skorch's ``load_params`` calls ``torch.load``.
    classes : None, default=None
        Not used: labels are found in `y`, or given to ``partial_fit``.
    **kwargs
        Parameters of components, such as ``optimizer__momentum``,
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
    image_size_ : int
        Height and width to which images are resized.
    fitted_params_ : dict
        The parameters that the last fit used.
    seed_ : int
        What `random_state` gave for the last fit.
    history_ : skorch.history.History
        Loss and learning rate of each epoch.

    See Also
    --------
    skosfusion.make_clinical_transformer : Normalize the clinical columns.
    skosfusion.make_fusion_pipeline : Both in one pipeline.

    Notes
    -----
    Parameters take effect at the next fit; `fitted_params_` keeps those of the last one. A `fit`
    that is refused, fails or is interrupted leaves the classifier unfitted. A `partial_fit` that
    is refused before training leaves the last fit as it was.

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
        weights="DEFAULT",
        head="mlp",
        fusion="concat",
        feature_scaling=None,
        C=USUAL_C,
        hidden_units=512,
        head_dropout=0.0,
        modality_dropout=0.2,
        frozen_epochs=0,
        unfreeze=None,
        augmentation=None,
        lr_milestones=(20, 35, 45),
        image_size=None,
        image_options=None,
        pixel_mean=None,
        pixel_std=None,
        missing_images="error",
        precision="auto",
        engine="auto",
        memory=None,
        class_weight=None,
        random_state=None,
        device="auto",
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=0.01,
        max_epochs=50,
        batch_size=256,
        steps_per_epoch=None,
        train_split=None,
        callbacks=None,
        warm_start=False,
        verbose=1,
        iterator_train=DataLoader,
        iterator_valid=DataLoader,
        dataset=Dataset,
        predict_nonlinearity="auto",
        compile=False,
        use_caching="auto",
        torch_load_kwargs=None,
        classes=None,
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
            iterator_train=iterator_train,
            iterator_valid=iterator_valid,
            dataset=dataset,
            predict_nonlinearity=predict_nonlinearity,
            compile=compile,
            use_caching=use_caching,
            torch_load_kwargs=torch_load_kwargs,
            classes=classes,
            random_state=random_state,
            **kwargs,
        )
        self.image_column = image_column
        self.backbone = backbone
        self.weights = weights
        self.head = head
        self.fusion = fusion
        self.feature_scaling = feature_scaling
        self.C = C
        self.hidden_units = hidden_units
        self.head_dropout = head_dropout
        self.modality_dropout = modality_dropout
        self.steps_per_epoch = steps_per_epoch
        self.frozen_epochs = frozen_epochs
        self.unfreeze = unfreeze
        self.augmentation = augmentation
        self.lr_milestones = lr_milestones
        self.image_size = image_size
        self.image_options = image_options
        self.pixel_mean = pixel_mean
        self.pixel_std = pixel_std
        self.missing_images = missing_images
        self.precision = precision
        self.engine = engine
        self.memory = memory
        self.class_weight = class_weight

    def __setattr__(self, name, value):
        if name in ("augmentation", "backbone"):
            # skorch would take a torch module for a part of the network.
            vars(self)[name] = value
        else:
            super().__setattr__(name, value)

    def get_params(self, deep=True):
        """Return the parameters, as scikit-learn's estimators do.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add those of parameters that are estimators themselves.

        Returns
        -------
        dict
            Values by name.
        """
        params = super(FusionClassifier, self._without_augmentation()).get_params(deep)
        return params | {"augmentation": self.augmentation}

    def __sklearn_clone__(self):
        clone = super(FusionClassifier, self._without_augmentation()).__sklearn_clone__()
        clone.augmentation = copy.deepcopy(self.augmentation)
        return clone

    def _without_augmentation(self):
        """Return the same classifier without what scikit-learn would take for an estimator.

        Transforms of torchvision and albumentations have a `get_params` that is another one.
        """
        plain = object.__new__(type(self))
        vars(plain).update(vars(self), augmentation=None)
        return plain

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

    @property
    def _required_callbacks(self):
        has_images = self.fitted_params_["image_column"] is not None
        feeding = [("feed_images", FeedImages())] if has_images else []
        return [*feeding, *super()._required_callbacks]

    def fit(self, X, y=None, sample_weight=None, *, groups=None, **unknown):
        """Train the network.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            Clinical values, and the image column if one is declared.
        y : array-like of shape (n_samples,)
            Labels of any kind; needed, None is for errors alone.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each sample in the loss, 0 or more, beside that of its class. A weight
            of 2 counts as two samples in the mean over a batch; samples of weight 0 do not train.
        groups : array-like of shape (n_samples,) or None, default=None
            Patient of each sample; an inner validation split keeps patients together.
        **unknown
            Nothing: what is passed by another name is a TypeError.

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
        with self._unfitted_on_error(), self._computing():
            # Here and not by Python, so that this error, too, leaves no fit.
            refuse_unknown_arguments(unknown)
            if not self.warm_start:
                self._forget()
            self._run_training(self._prepare(X, y, sample_weight, groups))
        return self

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

        Raises
        ------
        Exception
            As in `fit`. What is refused before training leaves the last fit as it was. A parameter
            that was changed since is used where a fit can go on with it, and else refused by name.
        """
        # A first call that is refused must not leave half of a fit.
        refuse_going_on(self)
        clean = contextlib.nullcontext() if self.initialized_ else self._unfitted_on_error()
        with self._computing():
            with clean:
                dataset = self._prepare(X, y, sample_weight, groups, classes)
            with self._unfitted_on_error():
                self._run_training(dataset)
        return self

    def _prepare(self, X, y, sample_weight, groups, classes=None):
        """Check what is given, build the network if there is none, and read every image.

        `_begin_fit`, `_continue_fit` and what else belongs to the life of a fit is in `_net.py`.
        """
        check_parameters(self)
        goes_on = self.initialized_
        if goes_on:
            self._refuse_changed_params()
        check_combination(self)
        check_components(self)
        if not goes_on:
            self._draw_seed()
        clinical, paths = self._check_inputs(X, reset=not goes_on)
        check_consistent_length(clinical, y, groups)
        sample_weight, weight_unit = check_sample_weight(sample_weight, clinical)
        if not goes_on:
            refuse_images_of_no_weight(paths, sample_weight)
            if self.fusion == "gated" and hasattr(X, "columns"):
                names = [name for name in X.columns if name != self.image_column]
                check_indicators(names, clinical)
        codes, labels = check_labels(y, self.classes_ if goes_on else classes)
        if sample_weight is not None and not goes_on and classes is None:
            codes, labels = classes_in_use(codes, labels, sample_weight)
        dataset = FusionDataset(
            clinical,
            codes,
            paths=paths,
            groups=check_groups(groups),
            sample_weight=sample_weight,
            weight_unit=weight_unit,
        )
        with self._seeded(step=-1) if self.train_split else contextlib.nullcontext():
            dataset.parts = split_dataset(dataset, self.train_split)
        weights = weigh_classes(self.class_weight, codes, labels, sample_weight)
        if not goes_on:
            self.class_weights_ = weights
            self.image_size_ = self._size_of_images()
            self._begin_fit(labels)
            if paths is not None:
                self._settle_engine(len(paths))
        # The last refusals come before anything of an earlier fit is changed.
        if self.augmentation is not None:
            try_augmentation(self, paths)
            dataset.tells_rows = True
        feed_images(self, dataset, epoch=len(self.history_) + 1)
        if self.feature_scaling is not None and paths is not None and not goes_on:
            scale_features(self.module_, dataset)
        if goes_on:
            self.class_weights_ = weights
            self._continue_fit()
        return dataset

    def _settle_engine(self, n_images):
        is_fixed = self.frozen_epochs == "all" or self.head == "linear"
        self.image_inputs().settle_engine(self.engine, n_images, is_fixed=is_fixed)

    def _run_training(self, dataset):
        """Train on a dataset that is checked and split."""
        if self.head == "linear":
            fit_linear_head(self, dataset)
        else:
            self._augmentation = augmentation_of(self)
            try:
                super()._run_training(dataset)
            finally:
                del self._augmentation
        # What looks into a fitted network must not meet dropout.
        self.module_.eval()

    def train_step(self, batch, **fit_params):
        """Train on one batch, its images augmented if so asked.

        Here and not in the dataset, which also serves validation, nor in loader processes, which
        do not know the epoch, and once for optimizers that look at a batch several times.
        """
        inputs, codes = batch
        augmentation = vars(self).get("_augmentation")
        if augmentation is not None and "image" in inputs:
            images = augmentation(inputs, epoch=len(self.history_))
            batch = {**inputs, "image": images}, codes
        with explained_lone_row(self.batch_size):
            return super().train_step(batch, **fit_params)

    def _check_inputs(self, X, *, reset):
        params = vars(self) if reset else self.fitted_params_
        return check_inputs(
            self,
            X,
            column=params["image_column"],
            keep_missing=params["missing_images"] == "zero",
            reset=reset,
        )

    def _batches_in_epoch(self):
        return self.steps_per_epoch

    def _size_of_images(self):
        if self.image_size is not None:
            return int(self.image_size)
        used = (None, None) if self.image_column is None else (self.backbone, self.weights)
        return input_of_encoder(*used).image_size

    def predict_proba(self, X):
        """Predict the probability of each class.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The same columns as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities in the order of `classes_`, float32, in [0, 1].
        """
        # skorch asks for the batches of `get_dataset` and runs `evaluation_step` on each.
        with self._computing():
            return super().predict_proba(X)

    @available_if(has_log_odds)
    def decision_function(self, X):
        """Predict the log-odds of the classes.

        They are computed from the logits, so that they stay finite and distinct where a probability
        is exactly 0 or 1 in float32.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The same columns as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            float64, natural logarithm. Two classes: log-odds of ``classes_[1]``, above 0 where it
            is predicted. More classes: the logits less the logarithm of the sum of their
            exponentials, which are the logarithms of the probabilities, in the order of `classes_`.

        Raises
        ------
        AttributeError
            With a `predict_nonlinearity` of one's own, whose probabilities need not be the softmax
            of the logits. ``hasattr`` is then False, and scikit-learn takes `predict_proba`.
        FloatingPointError
            If a logit is not finite; the error names the row.

        Notes
        -----
        scikit-learn prefers this method to `predict_proba` for ``scoring="roc_auc"``, where it has
        fewer ties, and in ``CalibratedClassifierCV``, which fits Platt's sigmoid [1]_ to the
        log-odds and not to the probabilities; so its results differ from those without it.

        References
        ----------
        .. [1] J. Platt, "Probabilistic outputs for support vector machines and comparisons to
           regularized likelihood methods", 1999.

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sklearn.preprocessing import scale
        >>> from skosfusion import FusionClassifier
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> classifier = FusionClassifier(head="linear").fit(scale(X), y)
        >>> log_odds = classifier.decision_function(scale(X))
        >>> log_odds.shape, str(log_odds.dtype)
        ((569,), 'float64')
        """
        self.check_is_fitted()
        with self._computing():
            return predict_log_odds(self, X)

    def get_dataset(self, X, y=None):
        """Check a table to predict from, and make a dataset of it."""
        if is_dataset(X):  # as scoring callbacks pass it
            return X
        clinical, paths = self._check_inputs(X, reset=False)
        dataset = FusionDataset(clinical, paths=paths)
        if paths is not None:
            dataset.load_images = self.image_inputs().features_on_demand(paths)
        return dataset

    def input_batches(self, X, *, pixels=False):
        """Check a table, and yield what the fitted network reads of it, batch by batch.

        For those who look into the network. All batches are of one size, the last one padded, so
        that a row's values do not depend on its company, but for up to 4 images alone.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The same columns as in `fit`.
        pixels : bool, default=False
            Whether images come as pixels, not as features of the encoder.

        Yields
        ------
        inputs : dict of str to Tensor
            Arguments of the network: ``clinical`` and, where there are images, ``image`` or
            ``features``; where the network computes.
        rows : range
            Position of each sample in `X`; the rows of padding after them have none.
        """
        self.check_is_fitted()
        with self._computing(), self._seeded_where_drawn():
            dataset = self.get_dataset(X)
            n_rows = self._rows_to_predict_at_once()
            if pixels:
                if dataset.has_image is not None:
                    raise ValueError(
                        f"row {dataset.paths.index(None)} has no image to show; leave rows without "
                        "one out"
                    )
                images = self.image_inputs()
                dataset.load_images = images.pixels_on_demand(dataset.paths)
                n_rows = images.pixels_at_once(len(dataset))
            n_rows = len(dataset) if n_rows == -1 else n_rows
            starts = range(0, len(dataset), n_rows)
            shown = self.verbose and pixels
            device = next(self.module_.parameters()).device
            for start in progress_bar(starts, shown=shown, desc="explaining images", unit="batch"):
                rows = range(start, min(start + n_rows, len(dataset)))
                inputs, _ = dataset.gather(list(rows))
                yield to_tensor(padded(inputs, n_rows), device=device), rows

    def image_inputs(self):
        """Return images as the fitted network reads them, an `ImageInputs`.

        What decides a result is that of the fit; where things are kept is as set now.
        """
        params = self.fitted_params_
        loaders = self.get_params_for("iterator_train"), self.get_params_for("iterator_valid")
        return ImageInputs(
            self.module_,
            {"image_size": self.image_size_, **(params["image_options"] or {})},
            memory=self.memory,
            # What lies in an accelerator's memory cannot go to loader processes, nor be pinned, and
            # an augmentation is given images in the processor's.
            resident=self.augmentation is None
            and not any(o.get("num_workers") or o.get("pin_memory") for o in loaders),
            verbose=self.verbose,
        )

    def __getstate__(self):
        # Worker processes read relative paths of images, weights and memory as the sender does.
        return super().__getstate__() | {"senders_folder": SendersFolder()}

    def __setstate__(self, state):
        super().__setstate__({k: v for k, v in state.items() if k != "senders_folder"})

    @contextlib.contextmanager
    def _computing(self):
        """Use the cores and, where there are images, the memory as is best for long work."""
        memory = contextlib.nullcontext() if self.image_column is None else kept_memory
        with one_thread_where_more_do_harm(), memory:
            yield

    def initialize(self, encoder_state=None):
        """Build the network, loss and optimizer; `fit` does this.

        `encoder_state` takes the place of the initial weights of the encoder that `weights` names.
        """
        # skorch calls `initialize_module` without arguments.
        self._encoder_state = encoder_state
        try:
            return super().initialize()
        finally:
            del self._encoder_state

    def initialize_module(self):
        """Build the network for the inputs and classes that `fit` found."""
        arguments, state = self.network_arguments(), self._encoder_state
        if self.fitted_params_["image_column"] is not None and state is None:
            state = load_encoder_state(self.backbone, self.weights)
        with DRAWING:
            self.module_ = self.module(**({"encoder_state": state} | arguments))
        stage = self.fitted_params_["unfreeze"]
        if stage is not None:
            divide_encoder(self.module_, stage, self.image_size_)
        return self

    def network_arguments(self):
        """Return the arguments of `module` for the inputs and classes that `fit` found."""
        params = self.fitted_params_
        has_image = params["image_column"] is not None
        arguments = {
            "n_clinical": self.n_features_in_ - has_image,
            "n_classes": len(self.classes_),
            "backbone": params["backbone"] if has_image else None,
            "hidden_units": params["hidden_units"],
            "image_size": self.image_size_,
            "encoder_dtype": resolve_encoder_dtype(
                params["precision"], resolve_device(params["device"])
            ),
        }
        # A network class of the user's need not know them.
        scale = {name: params[name] for name in ("pixel_mean", "pixel_std")}
        arguments |= {name: value for name, value in scale.items() if value is not None}
        arguments |= {n: params[n] for n in ("head", "head_dropout") if params[n] not in ("mlp", 0)}
        if params["fusion"] == "gated":
            names = getattr(self, "feature_names_in_", None)
            arguments |= {"fusion": "gated", "modality_dropout": params["modality_dropout"]}
            if names is not None:
                names = [name for name in names if name != params["image_column"]]
                arguments["clinical_names"] = names
        if params["feature_scaling"] is not None and has_image:
            arguments["feature_scaling"] = params["feature_scaling"]
        return arguments | params_for("module", params)

    def initialize_criterion(self):
        """Build the loss, weighted by class if so asked."""
        arguments = self.get_params_for("criterion")
        if self.class_weights_ is not None:
            arguments["weight"] = self.class_weights_  # `criterion__weight` is refused beside it
        self.criterion_ = self.initialized_instance(self.criterion, arguments)
        return self

    def get_params_for_optimizer(self, prefix, named_parameters):
        """Collect the optimizer's arguments; SGD gets its momentum here, and some run fused."""
        named_parameters = list(named_parameters)
        check_parameter_groups(self, prefix, [name for name, _ in named_parameters])
        args, kwargs = super().get_params_for_optimizer(prefix, named_parameters)
        if self.optimizer is torch.optim.SGD:
            kwargs.setdefault("momentum", 0.9)
        if (
            self.optimizer in _FUSED_OPTIMIZERS
            and not {"foreach", "differentiable"} & kwargs.keys()
        ):
            device = next(self.module_.parameters()).device
            kwargs.setdefault("fused", device.type in ("cpu", "cuda"))
        return args, kwargs
