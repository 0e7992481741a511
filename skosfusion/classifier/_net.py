"""skorch's classifier, made to keep scikit-learn's conventions."""

import contextlib
import warnings
from itertools import chain

import joblib
import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from skorch.utils import params_for, to_device, to_numpy, to_tensor
from torch.utils.data import DataLoader

from ._callbacks import StopAtDivergence, describe_divergence, score_codes
from ._components import is_of_torch
from ._dataset import ShuffledBatches, as_gathered
from ._device import resolve_device
from ._random import drawing, draws_random_numbers, seeded

# What a continued fit can take over; every other parameter is for a new fit.
_FOR_CONTINUED_FITS = {
    "augmentation",
    "batch_size",
    "callbacks",
    "class_weight",
    "criterion",
    "frozen_epochs",
    "iterator_train",
    "iterator_valid",
    "lr",
    "lr_milestones",
    "max_epochs",
    "memory",
    "optimizer",
    "train_split",
    "verbose",
    "warm_start",
}


_FOR_NEW_FITS = {"criterion", "optimizer", "optimizer__param_groups"}
# A loaded model may lack these, and may be given them before it is trained further.
_LEFT_OUT_OF_FILES = {"criterion", "optimizer", "random_state"}
# What batches hold for the training, not for the network.
_OF_TRAINING = {"sample_weight", "row"}
# What a row of probabilities may differ from 1.
_ROUNDING = 1e-3
_MOST_PREDICTED_AT_ONCE = 2**13


class ConventionalNet(NeuralNetClassifier):
    """A skorch classifier that keeps scikit-learn's conventions.

    Parameters are stored as given and take effect at the next fit; `fitted_params_` keeps those of
    the last one. A fit that fails or is interrupted leaves none. Labels of any kind come back as
    they went in. The caller's random state is not touched. One row and many rows give equal
    predictions. Datasets gather whole batches: a dict of network inputs, perhaps with
    ``sample_weight`` and ``row``, and label codes, 0 to n_classes - 1, which scoring callbacks see,
    too.

    Parameters
    ----------
    module : type
        The network class.
    random_state : int, RandomState instance or None, default=None
        Decides initial weights and the order of samples.
    **kwargs
        skorch's parameters.
    """

    def __init__(self, module, *, random_state=None, **kwargs):
        super().__init__(module, **kwargs)
        self.random_state = random_state

    # skorch keeps these as public attributes from `__init__` on. scikit-learn's convention has only
    # parameters there, so they are properties over private storage.
    @property
    def history_(self):
        """Loss and learning rate of each epoch, None before the first fit."""
        return self._history

    @history_.setter
    def history_(self, value):
        self._history = value

    @property
    def initialized_(self):
        """Whether the network has been built."""
        return self._initialized

    @initialized_.setter
    def initialized_(self, value):
        self._initialized = value

    @property
    def virtual_params_(self):
        """Parameters that change the optimizer in place, by skorch."""
        return self._virtual_params

    @virtual_params_.setter
    def virtual_params_(self, value):
        self._virtual_params = value

    __repr__ = BaseEstimator.__repr__

    def _get_param_names(self):
        return [name for name in super()._get_param_names() if not name.startswith("_")]

    def set_params(self, **params):
        """Store parameters; they take effect at the next fit.

        Parameters
        ----------
        **params
            Values by name, those of skorch's components with a prefix.

        Returns
        -------
        estimator
            The classifier itself.
        """
        of_components = {name: params.pop(name) for name in list(params) if "__" in name}
        BaseEstimator.set_params(self, **params)
        vars(self).update(of_components)
        self._params_to_validate.update(of_components)
        return self

    # The life of a fit: begun, or refused and continued; trained; forgotten where it fails.

    def _draw_seed(self):
        """Draw the one seed that everything random in a new fit follows from."""
        self.seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))

    def _begin_fit(self, classes):
        """Keep what decides a new fit, and build network, loss and optimizer from it."""
        self.fitted_params_ = copied_params(self)
        self.classes_inferred_ = classes  # where skorch's `classes_` finds them
        self.initialize()
        if torch.get_default_dtype() != torch.float32:
            self.module_.float()

    def _refuse_changed_params(self):
        """Refuse a continued fit where a parameter was changed that only a new fit can use."""
        for name in self._changed_params():
            if getattr(self, "optimizer_is_fresh_", False) and name in _LEFT_OUT_OF_FILES:
                continue
            is_gone = name.startswith("optimizer__") and not hasattr(self, name)
            if name.split("__")[0] not in _FOR_CONTINUED_FITS or name in _FOR_NEW_FITS or is_gone:
                raise ValueError(
                    f"{name}={getattr(self, name, None)!r:.200} is for a new fit; to go on with "
                    f"this one, set it back to {self.fitted_params_.get(name)!r:.200}"
                )

    def _continue_fit(self):
        """Use the parameters as they are now in a fit that goes on."""
        changed = self._changed_params()
        # Callbacks first, as their parameters may still be refused.
        if any(name.startswith(("callbacks", "lr_milestones")) for name in changed):
            self._initialize_callbacks()
            self._complete_callbacks()
        if any(name.startswith("criterion") or name == "class_weight" for name in changed):
            self.initialize_criterion()
            self.criterion_.to(next(self.module_.parameters()).device)
        if "optimizer" in changed:
            self._initialize_optimizer()
        of_optimizer = [name for name in changed if name == "lr" or name.startswith("optimizer__")]
        self._apply_virtual_params({name: getattr(self, name) for name in of_optimizer})
        self.fitted_params_ = copied_params(self)
        fresh = vars(self).pop("optimizer_is_fresh_", False)
        if fresh:
            warnings.warn(
                "the model was loaded from a file, which does not keep the optimizer's state: "
                "training goes on with a fresh optimizer",
                stacklevel=4,
            )

    def _changed_params(self):
        now, fitted = self.get_params(deep=False), self.fitted_params_
        names, none = sorted(now.keys() | fitted.keys()), object()
        return [n for n in names if not _is_same(now.get(n, none), fitted.get(n, none))]

    def _run_training(self, dataset):
        """Train on a dataset that is checked and split."""
        self.notify("on_train_begin", X=dataset, y=dataset.codes)
        with self._seeded_where_drawn():
            try:
                self.fit_loop(dataset, dataset.codes)
            except KeyboardInterrupt:
                # This is also how skorch's EarlyStopping ends the loop.
                if not self._has_stopped_early():
                    raise
        tensors = chain(self.module_.parameters(), self.module_.buffers())
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
            raise FloatingPointError(describe_divergence(self, "the network"))
        self.notify("on_train_end", X=dataset, y=dataset.codes)

    def _has_stopped_early(self):
        return any(
            isinstance(callback, EarlyStopping) and callback.misses_ >= callback.patience
            for _, callback in self.callbacks_
        )

    @contextlib.contextmanager
    def _unfitted_on_error(self):
        """Leave no fit behind where the block fails or is interrupted."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._forget)
            yield
            stack.pop_all()

    def _forget(self):
        """Drop everything that a fit has set: what ends in an underscore, and skorch's lists."""
        skorchs = {"_modules", "_criteria", "_optimizers"}
        for name in list(vars(self)):
            if name in skorchs or (name.endswith("_") and "__" not in name):
                vars(self).pop(name)
        self._history, self._initialized, self._virtual_params = None, False, {}

    def initialize(self):
        """Build the network, loss and optimizer; `fit` does this."""
        if not hasattr(self, "seed_"):
            raise ValueError(
                "initialize needs the numbers of inputs and classes, which fit finds; call fit"
            )
        with self._device_for_skorch(), self._seeded():
            super().initialize()
        self._complete_callbacks()
        return self

    @property
    def _required_callbacks(self):
        """Callbacks that no parameter switches off."""
        return [("stop_at_divergence", StopAtDivergence())]

    def _complete_callbacks(self):
        """Put the required callbacks first, and let all scores be those of label codes."""
        self.callbacks_ = [*self._required_callbacks, *self.callbacks_]
        for _, callback in self.callbacks_:
            score_codes(callback)

    @contextlib.contextmanager
    def _device_for_skorch(self):
        """Let skorch's own code, which does not know "auto", see the device that it stands for."""
        requested = self.device
        self.device = str(resolve_device(requested))
        try:
            yield
        finally:
            self.device = requested

    def _seeded(self, step=0):
        """Seed all global random states for one part of a fit, and put the caller's back."""
        return seeded(self.seed_ + len(self.history_ or ()) + step, resolve_device(self.device))

    def _seeded_where_drawn(self):
        """Seed training where anything but the loader may draw: layers, samplers, users' code."""
        options = self.get_params_for("iterator_train")
        draws = (
            draws_random_numbers(self.module_)
            or not {"sampler", "batch_sampler"}.isdisjoint(options)
            or bool(self.callbacks and self.callbacks != "disable")
            or self.iterator_train is not DataLoader
            or not is_of_torch(self.criterion)
        )
        return self._seeded() if draws else contextlib.nullcontext()

    def check_data(self, X, y=None):
        """Do nothing: `fit` has checked the data, and knows the classes."""

    def check_is_fitted(self, attributes=None, *args, **kwargs):
        """Raise ``NotFittedError`` unless the classifier is fitted."""
        check_is_fitted(self, attributes, *args, **kwargs)

    def __sklearn_is_fitted__(self):
        return self.initialized_

    def get_split_datasets(self, X, y=None, **fit_params):
        """Return the parts into which `fit` has split a dataset."""
        return X.parts

    def get_iterator(self, dataset, training=False):
        """Make the loader of batches; in training a last one of one row joins the one before."""
        prefix = "iterator_train" if training else "iterator_valid"
        params = vars(self) if training else self.fitted_params_
        loader, options = params[prefix], params_for(prefix, params)
        options["collate_fn"] = as_gathered
        # A generator of its own keeps the loader from drawing from the global random state.
        options.setdefault("generator", torch.Generator().manual_seed(self.seed_))
        batch_size = options.pop("batch_size", self.batch_size)
        if not training:
            batch_size = self._rows_to_predict_at_once()
        if batch_size == -1:
            batch_size = len(dataset)
        batch_size = int(batch_size)  # PyTorch refuses NumPy's integers
        if training and not {"sampler", "batch_sampler", "drop_last"} & options.keys():
            options["batch_sampler"] = ShuffledBatches(
                len(dataset),
                batch_size,
                self.seed_,
                lambda: len(self.history_),
                shuffle=options.pop("shuffle", True),
                n_batches=self._batches_in_epoch(),
            )
        elif "batch_sampler" not in options:
            options["batch_size"] = batch_size
            if training and "sampler" not in options:
                options.setdefault("shuffle", True)
        return loader(dataset, **options)

    def _batches_in_epoch(self):
        """Return the number of batches in an epoch of training; None for each row once."""
        return None

    def _rows_to_predict_at_once(self):
        """Return the batch size of the fit, on which the last digits of a prediction depend."""
        options = params_for("iterator_valid", self.fitted_params_)
        size = options.get("batch_size", self.fitted_params_["batch_size"])
        # Each batch is padded to this size, and one row should not cost as much as a million.
        return min(size, _MOST_PREDICTED_AT_ONCE)

    def forward_iter(self, X, training=False, device="cpu"):
        """Yield the logits of each batch, in the order of the rows, in training mode too."""
        for batch in self.get_iterator(self.get_dataset(X), training=False):
            yield to_device(self.evaluation_step(batch, training=training), device=device)

    def infer(self, x, **fit_params):
        """Run the network on one batch, where the network is."""
        device = next(self.module_.parameters()).device
        inputs = {name: values for name, values in x.items() if name not in _OF_TRAINING}
        with drawing():
            return self.module_(**to_tensor(inputs, device=device), **fit_params)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Compute the loss of a batch: its mean, weighted by sample and by class."""
        y_true = y_true.to(y_pred.device)
        if X is None or "sample_weight" not in X:
            return self.criterion_(y_pred, y_true)
        return weighted_loss(self.criterion_, y_pred, y_true, X["sample_weight"].to(y_pred.device))

    def evaluation_step(self, batch, training=False):
        """Compute the logits of a batch, padded to the full batch size.

        Matrix kernels are chosen by shape: without padding, the same row would get slightly
        different logits in batches of different size.
        """
        inputs, codes = batch
        full = padded(inputs, self._rows_to_predict_at_once())
        return super().evaluation_step((full, codes), training)[: len(codes)]

    def predict_proba(self, X):
        """Predict the probability of each class, in the order of the rows."""
        check_is_fitted(self)
        nonlinearity = self.fitted_params_["predict_nonlinearity"]
        parts, row = [], 0
        # The device is named, since skorch's cached predictions would take `self.device`.
        for logits in self.forward_iter(X, training=False, device="cpu"):
            parts.append(as_probabilities(logits, nonlinearity, first_row=row))
            row += len(logits)
        return np.concatenate(parts)

    def predict(self, X):
        """Predict the labels.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The same columns as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels, of the kind that `fit` was given.
        """
        codes = self.predict_proba(X).argmax(axis=1)
        return self.classes_[codes]

    def load_params(self, *args, **kwargs):
        """Load what ``save_params`` of skorch wrote, into a fitted classifier."""
        with self._device_for_skorch():
            super().load_params(*args, **kwargs)

    def __setstate__(self, state):
        # skorch resolves the device of a saved net, and does not know "auto".
        requested = state["device"]
        if requested == "auto":
            state = state | {"device": str(resolve_device("auto"))}
        super().__setstate__(state)
        if requested == "auto":
            self.device = requested


def copied_params(estimator):
    """Return the parameters of an estimator, apart from what is done to its lists later."""
    params = estimator.get_params(deep=False)
    return params | {n: v.copy() for n, v in params.items() if isinstance(v, (dict, list))}


def _is_same(value, other):
    """Return whether two values of a parameter are the same one, or plainly equal."""
    if value is other:
        return True
    try:
        return type(value) is type(other) and bool(value == other)
    except (ValueError, RuntimeError):  # arrays and tensors, alone or inside
        return joblib.hash(value) == joblib.hash(other)


def check_finite(logits, *, first_row):
    """Raise FloatingPointError for the first row of a batch whose logits are not finite."""
    if not torch.isfinite(logits).all():
        row = first_row + int((~torch.isfinite(logits)).any(dim=1).nonzero()[0])
        raise FloatingPointError(
            f"the network gives {logits[row - first_row].tolist()} for row {row}, which is not "
            "finite; look for extreme values in that row, or fit again with a lower lr"
        )


def as_probabilities(logits, nonlinearity, *, first_row):
    """Turn logits into probabilities, float32; what is not finite or none is an error."""
    check_finite(logits, first_row=first_row)
    if nonlinearity == "auto":
        return to_numpy(torch.softmax(logits, dim=-1))
    values = to_numpy(logits if nonlinearity is None else nonlinearity(logits))
    wrong = (values < 0).any(axis=1) | (np.abs(values.sum(axis=1) - 1) > _ROUNDING)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"predict_nonlinearity={nonlinearity!r} gives {values[row].tolist()} for row "
            f"{first_row + row}, which are not probabilities; use 'auto' (softmax)"
        )
    return values


def padded(inputs, n_rows):
    """Repeat the first row of a batch at its end until there are `n_rows`; longer ones stay."""
    values = next(iter(inputs.values()))
    missing = max(n_rows - len(values), 0)
    return {
        name: torch.cat([values, values[:1].expand(missing, *values.shape[1:])])
        for name, values in inputs.items()
    }


def weighted_loss(criterion, y_pred, y_true, sample_weight):
    """Compute the mean loss of a batch, weighted by sample beside the criterion's class weights."""
    # Each sample's own loss comes weighted by class already.
    if getattr(criterion, "reduction", None) != "mean":
        raise ValueError(
            f"sample_weight needs a criterion whose reduction is 'mean', got "
            f"{getattr(criterion, 'reduction', None)!r} of {type(criterion).__name__}"
        )
    criterion.reduction = "none"
    try:
        losses = criterion(y_pred, y_true)
    finally:
        criterion.reduction = "mean"
    if losses.shape != y_true.shape:
        raise ValueError(
            f"sample_weight needs a criterion that gives a loss for each sample with "
            f"reduction='none'; {type(criterion).__name__} gives shape "
            f"{tuple(losses.shape)} for {len(y_true)} samples"
        )
    class_weights = getattr(criterion, "weight", None)
    total = sample_weight if class_weights is None else sample_weight * class_weights[y_true]
    # Weights may be too small for this number format.
    return (sample_weight * losses).sum() / total.sum().clamp(min=torch.finfo(total.dtype).tiny)
