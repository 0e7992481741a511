import pytest

from .._helpers import tiny


@pytest.fixture
def table(tmp_path):
    """Twelve patients with two images each; files and table may be changed."""
    return tiny.make_cohort(tmp_path, n_patients=12)
