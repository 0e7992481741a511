"""Random changes of training images: a user's augmentation, called image by image and checked."""

import copy
from collections import Counter

import numpy as np
import torch

from ._device import one_thread, resolve_device
from ._random import drawing, reseed, seeded

# What a transform does at random may not show itself at the first try.
_TRIALS = 4
# Characters of a transform that errors show.
_SHOWN = 120


def is_augmentation(value):
    """Return whether a value can be an augmentation; a class was not called yet."""
    return value is None or (callable(value) and not isinstance(value, type))


def check_augmentation(estimator):
    """Refuse an augmentation that could not act, as training reads no pixels."""
    if estimator.augmentation is None:
        return
    if estimator.image_column is None:
        raise ValueError(
            f"augmentation={_short(estimator.augmentation)} changes images, and image_column=None "
            "declares none; name the column of images, or pass augmentation=None"
        )
    # Epochs count over continued fits.
    n_epochs = len(estimator.history_ or ()) + estimator.max_epochs
    fixed, reason = estimator.frozen_epochs, None
    if estimator.unfreeze is not None:
        reason = f"unfreeze={estimator.unfreeze!r}"
    elif fixed == "all":
        reason = "frozen_epochs='all'"
    elif fixed >= n_epochs:
        reason = f"frozen_epochs={fixed} of {n_epochs} epochs"
    if reason is not None:
        raise ValueError(
            f"augmentation={_short(estimator.augmentation)} is not allowed with {reason}: what "
            "the fixed layers make of each image is computed once and kept, so that no change of "
            "an image would be seen; let the whole encoder train (unfreeze=None, frozen_epochs=0 "
            "or fewer epochs than the fit has), or pass augmentation=None"
        )


def try_augmentation(estimator, paths):
    """Call the augmentation of an estimator on the first image of a table, and check the result."""
    row = next(row for row, path in enumerate(paths) if path is not None)
    rows = torch.tensor([row])
    inputs = estimator.image_inputs().pixels_on_demand(paths)(rows) | {"row": rows}
    augmentation = augmentation_of(estimator)
    for _ in range(_TRIALS):
        augmentation(inputs, epoch=0)


def augmentation_of(estimator):
    """Return the augmentation of an estimator as training calls it, None for none."""
    if estimator.augmentation is None:
        return None
    device = resolve_device(estimator.device)
    return Augmentation(estimator.augmentation, estimator.seed_, device)


class Augmentation:
    """An augmentation in training: seeded for each image, and checked.

    Parameters
    ----------
    function : callable
        A transform of one image; a copy of it is used, as it may have a state.
    seed : int
        What the numbers of each image follow from, with the epoch and the image's row.
    device : torch.device
        Whose random state is put back beside those of the processor.
    """

    def __init__(self, function, seed, device):
        try:
            self._function = copy.deepcopy(function)
        except Exception as error:
            raise ValueError(
                f"augmentation={_short(function)} cannot be copied ({type(error).__name__}: "
                f"{error}), which each fit and scikit-learn's clone do; make what it draws from, "
                "or holds open, when it is called"
            ) from error
        self._seed, self._device = seed, device
        self._epoch, self._n_seen = None, Counter()

    def __call__(self, inputs, *, epoch):
        """Return the images of a training batch, each changed by random numbers of its own.

        They follow from the seed, the epoch and the image's row, not from its company; a row that
        a sampler takes again in an epoch gets others.
        """
        if epoch != self._epoch:
            self._epoch, self._n_seen = epoch, Counter()
        images, rows = inputs["image"].cpu().clone(), inputs["row"].tolist()
        # Beside color images, gray ones have three equal channels.
        is_gray = (images == images[:, :1]).flatten(1).all(dim=1).tolist()
        has_image = inputs["has_image"].tolist() if "has_image" in inputs else [True] * len(rows)
        # One image is too small for several threads, which wait for each other on a busy machine.
        with seeded(self._seed, self._device), drawing(), one_thread(), torch.no_grad():
            for position, row in enumerate(rows):
                if has_image[position]:
                    image = images[position, : 1 if is_gray[position] else None]
                    images[position] = self._augmented(image, row)
        return images

    def _augmented(self, image, row):
        """Return one image changed, or raise an error that says what is wrong."""
        numbers = [self._seed, self._epoch, row, self._n_seen[row]]
        seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
        self._n_seen[row] += 1
        reseed(seed)
        takes_arrays = _is_of_albumentations(self._function)
        # The order in memory is that of the shape, as OpenCV wants it.
        given = image.permute(1, 2, 0).contiguous().numpy() if takes_arrays else image
        shape = tuple(given.shape)
        try:
            if takes_arrays:
                changed = _call_albumentations(self._function, given, seed)
            else:
                changed = self._function(given)
        except Exception as error:
            raise ValueError(
                f"augmentation={_short(self._function)} raises {type(error).__name__} for the "
                f"image of row {row}, {_described(given)}: {error}{_on_channels(len(image))}"
            ) from error
        problem = _problem(changed, type(given), given.dtype, shape)
        if problem is not None:
            raise ValueError(
                f"augmentation={_short(self._function)} returns {_described(changed)} for the "
                f"image of row {row}; allowed: {_described(given)}, as it was given; {problem}"
            )
        return (
            torch.from_numpy(np.ascontiguousarray(changed)).permute(2, 0, 1)
            if takes_arrays
            else changed
        )


def _is_of_albumentations(function):
    """Return whether a transform is called as those of albumentations are."""
    return any(k.__module__.split(".")[0] == "albumentations" for k in type(function).__mro__)


def _call_albumentations(transform, array, seed):
    """Call a transform that draws from generators of its own; old versions draw from the global."""
    if hasattr(transform, "set_random_seed"):
        transform.set_random_seed(seed)
    return transform(image=array)["image"]


def _problem(changed, kind, dtype, shape):
    """Say how to change a transform whose result does not fit, None where it does."""
    if not isinstance(changed, kind):
        if kind is np.ndarray:
            return "leave out what makes something else of arrays, such as ToTensorV2"
        return "return a tensor; of a PIL image, torchvision.transforms.v2.PILToTensor() makes one"
    if kind is not np.ndarray and changed.layout is not torch.strided:
        return "return a dense tensor: .to_dense()"
    if changed.dtype != dtype:
        return (
            "leave out what changes the number format, such as ToDtype or Normalize: pixels are "
            "brought to the scale of the weights after the augmentation"
        )
    if tuple(changed.shape) != shape:
        return "keep the size and the channels of the image, such as by a Resize at the end"
    return None


def _on_channels(n_channels):
    """Say what to do where a transform cannot take a gray image."""
    if n_channels != 1:
        return ""
    return (
        ". Grayscale images come as one channel; if the transform needs three, put "
        "torchvision.transforms.v2.Grayscale(3) before it and Grayscale(1) behind it (ToRGB and "
        "ToGray(1) of albumentations)"
    )


def _described(value):
    """Say what was given to, or returned by, an augmentation."""
    if not isinstance(value, (torch.Tensor, np.ndarray)):
        return f"{_short(value)} ({type(value).__name__})"
    is_tensor = isinstance(value, torch.Tensor)
    dtype = str(value.dtype).removeprefix("torch.")
    is_float = value.is_floating_point() if is_tensor else value.dtype.kind == "f"
    is_dense = not is_tensor or value.layout is torch.strided
    has_nan = is_float and is_dense and bool((value != value).any())
    kind = "tensor" if is_tensor else "array"
    if not is_dense:
        kind = f"{value.layout} tensor"
    text = (
        f"{'an' if dtype.startswith('int') else 'a'} {dtype} {kind} of shape {tuple(value.shape)}"
    )
    return text + (" with NaN" if has_nan else "")


def _short(value):
    """Return what a value looks like, in one short line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
