import pytest

from .._helpers import tiny


@pytest.fixture
def fitted(classifier, cohort):
    clinical = tiny.pd.DataFrame({"image": cohort.image, "age": cohort.age / 100})
    return classifier.fit(clinical, cohort.diagnosis), clinical
