"""The same model in pytorch-widedeep, where it is installed."""

import contextlib
import warnings

import numpy as np
import torch

from .images import CLINICAL

#: Name of the rival in reports.
NAME = "pytorch-widedeep"

with warnings.catch_warnings(), contextlib.suppress(ImportError):
    warnings.simplefilter("ignore")
    from pytorch_widedeep import Trainer
    from pytorch_widedeep.models import TabMlp, Vision, WideDeep


def is_installed():
    """Return whether the rival is installed."""
    return "Trainer" in globals()


class WideDeepRival:
    """ResNet18, four clinical values and a hidden layer of 512, trained by widedeep's trainer."""

    def __init__(self, X, pixels, y, *, batch_size, frozen=False):
        self.batch_size = batch_size
        self.y = y
        color = np.broadcast_to(pixels, (len(pixels), 3, *pixels.shape[2:]))
        # Height, width and color in this order, as its own preprocessor returns them.
        self.X = {
            "X_tab": X[CLINICAL].to_numpy(copy=True),
            "X_img": np.ascontiguousarray(color.transpose(0, 2, 3, 1)),
        }
        with warnings.catch_warnings():
            # It warns that "the entire network will be trained", which is meant here.
            warnings.simplefilter("ignore")
            image = Vision({"resnet18": None}, n_trainable=0 if frozen else None)
        # As good as no layers before the head: four values stay four values.
        table = TabMlp(
            {name: position for position, name in enumerate(CLINICAL)},
            continuous_cols=CLINICAL,
            mlp_hidden_dims=[len(CLINICAL)],
            mlp_dropout=0.0,
        )
        model = WideDeep(
            deeptabular=table,
            deepimage=image,
            head_hidden_dims=[512],
            head_dropout=0.0,
            pred_dim=2,
        )
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = (
            torch.optim.Adam(trained, lr=0.01)
            if frozen
            else torch.optim.SGD(trained, lr=0.01, momentum=0.9)
        )
        # Images lie in memory, and its two worker processes would only compete for the cores.
        self.trainer = Trainer(
            model,
            objective="multiclass",
            optimizers=optimizer,
            device="cpu",
            num_workers=0,
            verbose=0,
        )

    def fit_one_epoch(self):
        """Train for one epoch."""
        self.trainer.fit(target=self.y, n_epochs=1, batch_size=self.batch_size, **self.X)

    def predict_proba(self):
        """Predict probabilities."""
        return self.trainer.predict_proba(batch_size=self.batch_size, **self.X)
