"""The bounded map of both caches."""

import numpy as np
import pytest

from skosfusion._utils.caches import BoundedMap


@pytest.mark.parametrize("evict", ["random", "least recent"])
def test_costs_stay_within_the_limit_and_values_are_right(evict):
    rng, values = np.random.default_rng(0), BoundedMap(100, evict=evict)
    for _ in range(2000):
        key = 1 + int(rng.integers(60))
        assert values.get(key) in (None, -key)
        assert values.put(key, -key, int(rng.integers(1, 30)))
        assert values.cost <= 100
        assert values.get(key) == -key
    assert values.cost > 50
    assert sorted(values.values()) == sorted(-key for key in range(1, 61) if values.get(key))


def test_what_is_larger_than_the_map_moves_nothing():
    values = BoundedMap(10, evict="least recent")
    values.put("a", 1, 5)
    assert not values.put("a", 2, 11)
    assert values.get("a") == 1


def test_the_least_recently_used_leaves_first():
    values = BoundedMap(2, evict="least recent")
    values.put("a", 1)
    values.put("b", 2)
    values.get("a")
    values.put("c", 3)
    assert (values.get("a"), values.get("b"), values.get("c")) == (1, None, 3)
