"""Warnings that come once for an estimator and its clones, not once a fold."""

import warnings
import weakref

from sklearn.base import _clone_parametrized

_said = weakref.WeakKeyDictionary()


class WarnsOnce:
    """A mixin: what `_warn_once` says is said once by an estimator and all its clones."""

    def __sklearn_clone__(self):
        clone = _clone_parametrized(self)
        _said[clone] = _said.setdefault(self, set())
        return clone

    def _warn_once(self, about, message):
        """Warn, unless this was said `about` the same thing before."""
        said = _said.setdefault(self, set())
        if about not in said:
            said.add(about)
            warnings.warn(message, UserWarning, stacklevel=4)
