"""What happens between epochs: the learning rate falls, and progress is shown."""

import math

from skorch.callbacks import Callback

from .._utils.progress import progress_bar


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
            if len(net.history) - 1 in self.milestones:
                group["lr"] *= 0.1
        net.history.record("event_lr", net.optimizer_.param_groups[0]["lr"])


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
            n_epochs = net.max_epochs
            self.bar_.total = n_epochs * math.ceil(len(dataset_train) / batch_size)
        self.bar_.set_description(f"epoch {len(net.history)}", refresh=False)

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        """Advance by one training batch."""
        if training:
            self.bar_.update()

    def on_epoch_end(self, net, **kwargs):
        """Show the training loss."""
        self.bar_.set_postfix(loss=f"{net.history[-1, 'train_loss']:.3f}", refresh=False)

    def on_train_end(self, net, **kwargs):
        """Remove the bar."""
        self.bar_.close()
        del self.bar_
