"""Candidates measured in turn, so that a disturbance of the machine meets them all."""

import statistics
import sys
import time
from typing import NamedTuple

from skorch.callbacks import Callback


class Spread(NamedTuple):
    """Median, smallest and largest of some figures."""

    median: float
    low: float
    high: float


def spread(figures):
    """Summarise figures."""
    return Spread(statistics.median(figures), min(figures), max(figures))


def seconds(function):
    """Time one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def interleave(candidates, repeats, *, warm_up=True):
    """Measure candidates in turn: A B C, A B C, ..."""
    figures = {name: [] for name in candidates}
    for number in range(0 if warm_up else 1, repeats + 1):
        for name, measure in candidates.items():
            print(f"round {number} of {repeats}: {name}", file=sys.stderr, flush=True)
            figure = measure()
            if number:
                figures[name].append(figure)
    return {name: spread(values) for name, values in figures.items()}


class EpochClock(Callback):
    """Time the epochs of a skorch net, each with all that happens until the next one begins."""

    def initialize(self):
        """Forget the times of an earlier fit."""
        self.marks_ = []
        return self

    def on_epoch_begin(self, net, **kwargs):
        """Note the time."""
        self.marks_.append(time.perf_counter())

    def on_train_end(self, net, **kwargs):
        """Note the time."""
        self.marks_.append(time.perf_counter())

    def epoch_seconds(self):
        """Give the seconds of each epoch."""
        return [end - start for start, end in zip(self.marks_, self.marks_[1:], strict=False)]
