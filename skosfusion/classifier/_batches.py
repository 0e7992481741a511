"""How samples are split off, batched and sent through the network."""

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, check_cv
from skorch import NeuralNetClassifier
from skorch.dataset import ValidSplit
from skorch.utils import to_tensor
from torch.utils.data import DataLoader, Subset

from ._dataset import ShuffledBatches, as_gathered
from ._targets import check_inner_split


class BatchedNet(NeuralNetClassifier):
    """A skorch classifier on datasets that gather whole batches, see `FusionDataset`.

    An inner validation split keeps groups together, training batches come in
    an order that the attribute ``_seed_`` decides, and one row and many rows
    give equal predictions.
    """

    def get_split_datasets(self, X, y=None, **fit_params):
        """Split off validation samples, groups kept together where they are known.

        Samples of weight 0 take no part.

        Parameters
        ----------
        X : Dataset
            All samples, with ``codes`` and ``groups``.
        y : Tensor of shape (n_samples,) or None, default=None
            Label codes.
        **fit_params
            Not used.

        Returns
        -------
        dataset_train : Dataset
            Samples to train on.
        dataset_valid : Dataset or None
            Samples to validate on, if `train_split` asks for any.
        """
        if X.parts is not None:
            return X.parts
        rows = np.arange(len(X))
        if X.sample_weight is not None:
            rows = np.flatnonzero(X.sample_weight.numpy())
        samples = X if len(rows) == len(X) else Subset(X, rows)
        codes = X.codes[rows]
        if not self.train_split:
            return samples, None
        if X.groups is None or not isinstance(self.train_split, ValidSplit):
            parts = self.train_split(samples, codes)
        else:
            train, valid = next(iter(self._group_splits(rows, codes.numpy(), X.groups[rows])))
            parts = Subset(X, rows[train]), Subset(X, rows[valid])
        check_inner_split(*parts, X)
        return parts

    def _group_splits(self, rows, codes, groups):
        """Split samples as `train_split` says, but for a number or share: by group."""
        splitter = self.train_split.cv
        if isinstance(splitter, float):
            splitter = GroupShuffleSplit(
                test_size=splitter, random_state=self.train_split.random_state
            )
        elif isinstance(splitter, int):
            splitter = StratifiedGroupKFold(splitter)
        return check_cv(splitter).split(rows, codes, groups)

    def get_iterator(self, dataset, training=False):
        """Make the loader of batches.

        Parameters
        ----------
        dataset : Dataset
            Samples.
        training : bool, default=False
            Whether the order is random, and a last batch of one row joins the one before.

        Returns
        -------
        DataLoader
            The batches.
        """
        prefix = "iterator_train" if training else "iterator_valid"
        loader, options = getattr(self, prefix), self.get_params_for(prefix)
        if loader is not DataLoader:
            return super().get_iterator(dataset, training)
        options.setdefault("collate_fn", as_gathered)
        # A generator of its own keeps the loader from drawing from the global random state.
        options.setdefault("generator", torch.Generator().manual_seed(self._seed_))
        batch_size = options.pop("batch_size", self.batch_size)
        if batch_size == -1:
            batch_size = len(dataset)
        if training and not {"sampler", "batch_sampler", "drop_last"} & options.keys():
            options["batch_sampler"] = ShuffledBatches(
                len(dataset),
                batch_size,
                self._seed_,
                lambda: len(self.history_),
                shuffle=options.pop("shuffle", True),
            )
        elif "batch_sampler" not in options:
            options["batch_size"] = batch_size
            if "sampler" not in options:
                options.setdefault("shuffle", training)
        return DataLoader(dataset, **options)

    def infer(self, x, **fit_params):
        """Run the network on one batch, where the network is.

        Parameters
        ----------
        x : dict of str to Tensor
            Arguments of the network.
        **fit_params
            Further arguments.

        Returns
        -------
        Tensor of shape (n_samples, n_classes)
            Logits.
        """
        device = next(self.module_.parameters()).device
        inputs = {name: values for name, values in x.items() if name != "sample_weight"}
        return self.module_(**to_tensor(inputs, device=device), **fit_params)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Compute the loss of a batch: its mean, weighted by sample and by class.

        Parameters
        ----------
        y_pred : Tensor of shape (n_samples, n_classes)
            Logits.
        y_true : Tensor of shape (n_samples,)
            Label codes.
        X : dict of str to Tensor or None, default=None
            The batch, with ``sample_weight`` where there are weights.
        training : bool, default=False
            Not used.

        Returns
        -------
        Tensor
            The loss.
        """
        y_true = y_true.to(y_pred.device)
        if X is None or "sample_weight" not in X:
            return self.criterion_(y_pred, y_true)
        weights = X["sample_weight"].to(y_pred.device)
        # Each sample's own loss comes weighted by class already.
        if getattr(self.criterion_, "reduction", None) != "mean":
            raise ValueError(
                f"sample_weight needs a criterion whose reduction is 'mean', got "
                f"{getattr(self.criterion_, 'reduction', None)!r} of "
                f"{type(self.criterion_).__name__}"
            )
        self.criterion_.reduction = "none"
        try:
            losses = self.criterion_(y_pred, y_true)
        finally:
            self.criterion_.reduction = "mean"
        if losses.shape != y_true.shape:
            raise ValueError(
                f"sample_weight needs a criterion that gives a loss for each sample with "
                f"reduction='none'; {type(self.criterion_).__name__} gives shape "
                f"{tuple(losses.shape)} for {len(y_true)} samples"
            )
        class_weights = getattr(self.criterion_, "weight", None)
        total = weights if class_weights is None else weights * class_weights[y_true]
        # Weights may be too small for this number format.
        return (weights * losses).sum() / total.sum().clamp(min=torch.finfo(total.dtype).tiny)

    def evaluation_step(self, batch, training=False):
        """Compute the logits of a batch, padded to the full batch size.

        Matrix kernels are chosen by shape: without padding, the same row would
        get slightly different logits in batches of different size.

        Parameters
        ----------
        batch : tuple of (dict of str to Tensor, Tensor)
            Inputs and label codes.
        training : bool, default=False
            Whether layers such as dropout are active.

        Returns
        -------
        Tensor of shape (n_samples, n_classes)
            Logits.
        """
        inputs, codes = batch
        full = self.get_params_for("iterator_valid").get("batch_size", self.batch_size)
        return super().evaluation_step((padded(inputs, full), codes), training)[: len(codes)]


def padded(inputs, n_rows):
    """Repeat the first row of a batch at its end until there are so many; longer ones stay.

    Parameters
    ----------
    inputs : dict of str to Tensor
        Arguments of the network.
    n_rows : int
        Number of rows wanted.

    Returns
    -------
    dict of str to Tensor
        The same arguments, with at least `n_rows` rows.
    """
    missing = max(n_rows - len(inputs["clinical"]), 0)
    return {
        name: torch.cat([values, values[:1].expand(missing, *values.shape[1:])])
        for name, values in inputs.items()
    }
