"""skorch's classifier under scikit-learn's conventions."""

import contextlib
import math
import threading
from itertools import chain

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import EarlyStopping
from skorch.utils import is_dataset

from ._batches import BatchedNet
from ._device import kept_memory, one_thread_in_thread_workers, resolve_device

# Torch's global random state is shared by threads: who seeds it must have it alone.
_RANDOM_STATE_LOCK = threading.RLock()


class ConventionalNet(BatchedNet):
    """A skorch classifier that behaves as scikit-learn expects.

    What it changes: labels of any kind come back as they went in; input that
    is refused leaves an earlier fit as it was, and a fit that fails or is
    interrupted leaves none; the random state of the caller is not touched;
    ``device="auto"``; one row and many rows give equal predictions; an inner
    validation split keeps groups together. Callbacks see label codes, 0 to
    n_classes - 1, in predictions, targets and ``classes_`` alike.

    A subclass implements `_check_training_data`, which returns a dataset with
    ``codes`` and ``groups`` and sets ``classes_inferred_``, `_prepare_images`
    and `get_dataset`, and has the parameters `random_state` and `image_column`.
    """

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
        """Parameters that change the optimiser in place, by skorch."""
        return self._virtual_params

    @virtual_params_.setter
    def virtual_params_(self, value):
        self._virtual_params = value

    def _get_param_names(self):
        return [name for name in super()._get_param_names() if not name.startswith("_")]

    def set_params(self, **params):
        """Set parameters.

        Parameters
        ----------
        **params
            Values by name, those of skorch's components with a prefix.

        Returns
        -------
        ConventionalNet
            The classifier itself.
        """
        if "callbacks" in params and not self.initialized_:
            # skorch would use the list at once; like any parameter, it is for `fit` to check.
            self.callbacks = params.pop("callbacks")
        if not self.initialized_ or "device" in params:
            return super().set_params(**params)
        with self._resolved_device():
            # skorch builds parts of a fitted net anew.
            return super().set_params(**params)

    def _fit(self, *data, anew, classes=None):
        """Check, prepare and train; `anew` starts without an earlier fit."""
        with self._resolved_device(), self._computing():
            return self._fit_on_device(*data, anew=anew, classes=classes)

    def _fit_on_device(self, *data, anew, classes):
        earlier = dict(vars(self))
        try:
            if anew:
                self._forget()
            dataset = self._check_training_data(*data, anew=anew, given=classes)
            if anew:
                self._seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))
                self.initialize()
            dataset.parts = self.get_split_datasets(dataset, dataset.codes)
            self._prepare_images(dataset)
        except BaseException:
            vars(self).clear()
            vars(self).update(earlier)
            raise
        try:
            self._train(dataset)
        except BaseException:
            self._forget()
            raise
        return self

    @property
    def classes_(self):
        """The labels, sorted; during training the codes that callbacks see in their place."""
        labels = super().classes_
        return np.arange(len(labels)) if vars(self).get("_speaks_codes") else labels

    def _train(self, dataset):
        self._speaks_codes = True
        try:
            self._train_on_codes(dataset)
        finally:
            del self._speaks_codes

    def _train_on_codes(self, dataset):
        self.notify("on_train_begin", X=dataset, y=dataset.codes)
        with self._seeded_random_layers():
            try:
                self.fit_loop(dataset, dataset.codes)
            except KeyboardInterrupt:
                # This is also how skorch's EarlyStopping ends the loop.
                if not self._has_stopped_early():
                    raise
        tensors = chain(self.module_.parameters(), self.module_.buffers())
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
            raise FloatingPointError(self._describe_divergence("the network"))
        self.notify("on_train_end", X=dataset, y=dataset.codes)

    def _describe_divergence(self, what):
        return (
            f"{what} is no longer finite after {len(self.history_)} epochs with lr={self.lr}: "
            "training has diverged and the classifier is not fitted; lower lr, or look for extreme "
            "clinical values"
        )

    def _forget(self):
        """Drop everything that a fit has set: what ends in an underscore, and skorch's lists."""
        skorchs = {"_modules", "_criteria", "_optimizers"}
        for name in [name for name in vars(self) if name.endswith("_") or name in skorchs]:
            vars(self).pop(name)
        self._history, self._initialized, self._virtual_params = None, False, {}

    def _has_stopped_early(self):
        return any(
            isinstance(callback, EarlyStopping) and callback.misses_ >= callback.patience
            for _, callback in self.callbacks_
        )

    def initialize(self):
        """Build the network, loss and optimiser; `fit` does this.

        Returns
        -------
        ConventionalNet
            The classifier itself.

        Raises
        ------
        ValueError
            If `fit` has not seen any data yet.
        """
        if not hasattr(self, "_seed_"):
            raise ValueError(
                "initialize needs the numbers of inputs and classes, which fit finds; call fit"
            )
        with self._forked_random_state():
            return super().initialize()

    @contextlib.contextmanager
    def _computing(self):
        """Use the cores and, where there are images, the memory as is best for long work."""
        memory = contextlib.nullcontext() if self.image_column is None else kept_memory
        with one_thread_in_thread_workers(), memory:
            yield

    @contextlib.contextmanager
    def _resolved_device(self):
        """Let skorch see the device that "auto" stands for."""
        requested = self.device
        self.device = str(resolve_device(requested))
        try:
            yield
        finally:
            self.device = requested

    @contextlib.contextmanager
    def _forked_random_state(self):
        """Seed torch's global random state, and put the caller's back."""
        device = resolve_device(self.device)
        cuda = [device] if device.type == "cuda" else []
        seed = self._seed_ + len(self.history_ or ())
        with _RANDOM_STATE_LOCK, torch.random.fork_rng(devices=cuda):
            torch.default_generator.manual_seed(seed)
            if cuda:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            yield

    def _seeded_random_layers(self):
        """Seed layers that draw random numbers in training, where there are any."""
        if any(map(_draws_random_numbers, self.module_.modules())):
            return self._forked_random_state()
        return contextlib.nullcontext()

    def check_data(self, X, y=None):
        """Do nothing: `fit` has checked the data, and knows the classes."""

    def check_is_fitted(self, attributes=None, *args, **kwargs):
        """Raise ``NotFittedError`` unless the classifier is fitted.

        Parameters
        ----------
        attributes : list of str or None, default=None
            Attributes that must be there; None for the network.
        *args, **kwargs
            Passed to scikit-learn's function.
        """
        check_is_fitted(self, attributes, *args, **kwargs)

    def __sklearn_is_fitted__(self):
        return self.initialized_

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        """Stop if the loss is no longer a number."""
        if training and not math.isfinite(self.history_[-1]["batches"][-1]["train_loss"]):
            raise FloatingPointError(self._describe_divergence("the loss"))

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
        check_is_fitted(self)
        with self._computing():
            return super().predict_proba(X)

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
        # skorch's scoring callbacks pass datasets, whose labels are codes.
        return codes if is_dataset(X) else self.classes_[codes]

    def load_params(self, *args, **kwargs):
        """Load what ``save_params`` of skorch wrote, into a fitted classifier.

        Parameters
        ----------
        *args, **kwargs
            As in skorch.
        """
        with self._resolved_device():
            super().load_params(*args, **kwargs)

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("_speaks_codes", None)
        return state

    def __setstate__(self, state):
        # skorch resolves the device of a saved net, and does not know "auto".
        requested = state["device"]
        if requested == "auto":
            state = state | {"device": str(resolve_device("auto"))}
        super().__setstate__(state)
        if requested == "auto":
            self.device = requested


def _draws_random_numbers(layer):
    """Tell whether a layer may draw random numbers: torch's dropout, or anything not torch's."""
    name = type(layer).__name__.lower()
    if "dropout" in name or "stochasticdepth" in name:
        return True
    return not type(layer).__module__.startswith(("torch.nn.", "torchvision.", "skosfusion."))
