"""Values in memory, within a bound."""

import numpy as np


class BoundedMap:
    """Values by key, whose costs add up to a limit at most.

    What does not fit beside the others makes them leave, one by one: random ones, which keeps a
    part of a data set that is larger than the map, or the least recently used.
    """

    def __init__(self, max_cost, *, evict):
        self.max_cost = max_cost
        self._victim = {"random": self._random_key, "least recent": self._least_recent_key}[evict]
        self.clear()

    def __len__(self):
        return len(self._entries)

    def clear(self):
        """Forget all values."""
        self.cost = 0
        self._entries = {}
        self._keys = []
        self._random = np.random.default_rng(0)

    def values(self):
        """Return all values."""
        return [value for value, _, _ in self._entries.values()]

    def get(self, key):
        """Return a value, or None where there is none."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        self._entries[key] = entry  # now the most recently used
        return entry[0]

    def put(self, key, value, cost=1):
        """Set a value and its cost, if that fits at all, and return whether it does."""
        if cost > self.max_cost:
            return False
        if key in self._entries:
            self._remove(key)
        while self.cost + cost > self.max_cost:
            self._remove(self._victim())
        self._entries[key] = [value, cost, len(self._keys)]
        self._keys.append(key)
        self.cost += cost
        return True

    def _random_key(self):
        return self._keys[self._random.integers(len(self._keys))]

    def _least_recent_key(self):
        return next(iter(self._entries))

    def _remove(self, key):
        """Remove an entry; the last of the keys takes its slot, so that no other one moves."""
        _, cost, slot = self._entries.pop(key)
        last = self._keys.pop()
        if last != key:
            self._keys[slot] = last
            self._entries[last][2] = slot
        self.cost -= cost
