"""What happens between batches and epochs: images are fed, the rate falls, progress is shown."""

import math

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import check_scoring
from skorch.callbacks import Callback

from .._utils.progress import progress_bar


class FeedImages(Callback):
    """Feed the network features while its encoder is fixed, and pixels after."""

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "dataset_"}

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Remember the samples; their parts may be wrapped in what is not ours."""
        self.dataset_ = X

    def on_epoch_begin(self, net, **kwargs):
        """Free the encoder when its fixed epochs are over."""
        feed_images(net, self.dataset_, epoch=len(net.history_))

    def on_train_end(self, net, **kwargs):
        """Forget the samples."""
        del self.dataset_


def feed_images(net, dataset, *, epoch):
    """Let a dataset give what the network reads in an epoch, counted from 1.

    Every image is read, and the encoder fixed or freed.
    """
    fixed = net.frozen_epochs == "all" or epoch <= net.frozen_epochs
    if dataset.paths is not None and dataset.encoder_is_fixed != fixed:
        net.image_inputs().feed(dataset, fixed=fixed)


class StopAtDivergence(Callback):
    """Stop if the loss is no longer a number."""

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        """Look at the loss of a training batch."""
        if training and not math.isfinite(net.history_[-1]["batches"][-1]["train_loss"]):
            raise FloatingPointError(describe_divergence(net, "the loss"))


def describe_divergence(net, what):
    """Say what is no longer finite, and the remedy."""
    return (
        f"{what} is no longer finite after {len(net.history_)} epochs with lr={net.lr}: training "
        "has diverged and the classifier is not fitted; lower lr, or look for extreme clinical "
        "values"
    )


class MilestoneScheduler(Callback):
    """Divide the learning rate by 10 after given epochs, counted over continued fits.

    Parameters
    ----------
    milestones : tuple of int
        Epochs, from 1.
    """

    def __init__(self, milestones):
        self.milestones = milestones

    def on_epoch_begin(self, net, **kwargs):
        """Lower the rate where a milestone has just passed, and record it."""
        for group in net.optimizer_.param_groups:
            if len(net.history_) - 1 in self.milestones:
                group["lr"] *= 0.1
        net.history_.record("event_lr", net.optimizer_.param_groups[0]["lr"])


class EpochProgress(Callback):
    """Show epochs, loss and time left in a bar; nothing with ``verbose=0``."""

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "bar_"}

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Make the bar; its length is known at the first epoch."""
        self.bar_ = progress_bar(shown=bool(net.verbose), desc="training", unit="batch")

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Name the epoch, and count the batches of the whole fit once."""
        if self.bar_.total is None:
            batch_size = net.batch_size if net.batch_size > 0 else len(dataset_train)
            n_batches = net.steps_per_epoch or math.ceil(len(dataset_train) / batch_size)
            self.bar_.total = net.max_epochs * n_batches
        self.bar_.set_description(f"epoch {len(net.history_)}", refresh=False)

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        """Advance by one training batch."""
        if training:
            self.bar_.update()

    def on_epoch_end(self, net, **kwargs):
        """Show the training loss."""
        loss = net.history_[-1].get("train_loss")  # not there where its callback is switched off
        if loss is not None:
            self.bar_.set_postfix(loss=f"{loss:.3f}", refresh=False)

    def on_train_end(self, net, **kwargs):
        """Remove the bar."""
        self.bar_.close()
        del self.bar_


class _CodeClassifier(ClassifierMixin, BaseEstimator):
    """A net in training as its scoring callbacks see it: its labels are codes, as its targets."""

    def __init__(self, net):
        self.net = net

    def __getattr__(self, name):
        if name == "net":
            raise AttributeError(name)
        return getattr(self.net, name)

    @property
    def classes_(self):
        """The codes of the labels."""
        return np.arange(len(self.net.classes_))

    def predict_proba(self, X):
        """Predict the probability of each code."""
        return self.net.predict_proba(X)

    def predict(self, X):
        """Predict the codes."""
        return self.predict_proba(X).argmax(axis=1)


class _CodeScorer:
    """A score of a net in training, whose labels are codes."""

    def __init__(self, scoring):
        self.scoring = scoring

    def __call__(self, net, X, y):
        classifier = _CodeClassifier(net)
        return check_scoring(classifier, self.scoring)(classifier, X, y)


def score_codes(callback):
    """Let a scoring callback compare predicted codes with the codes that datasets hold."""
    scoring = getattr(callback, "scoring_", callback)
    if scoring is not callback and not isinstance(scoring, _CodeScorer):
        callback.scoring_ = _CodeScorer(scoring)
