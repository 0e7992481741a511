import pytest

from skosfusion.cli import main

OF_MODEL = ["--weights", "none", "--image-size", "32", "--epochs", "2", "--batch-size", "8"]


@pytest.fixture(scope="session")
def study(cohort, tmp_path_factory):
    """A folder with a table and its images beside it, the features kept there, too."""
    folder = tmp_path_factory.mktemp("study")
    images = cohort["image"].iloc[0].rsplit("/", 1)[0]
    table = cohort.assign(image=cohort["image"].str.rsplit("/", n=1).str[1])
    table.to_csv(folder / "table.csv", index=False)
    table.drop(columns="diagnosis").to_csv(folder / "new.csv", index=False)
    common = ["--image-folder", images, "--data-home", str(folder / "home")]
    return folder, table, common


@pytest.fixture(scope="session")
def model(study):
    """A fitted model."""
    folder, _, common = study
    path = folder / "model.safetensors"
    arguments = ["fit", str(folder / "table.csv"), *common, *OF_MODEL, "--model", str(path)]
    assert main(arguments) == 0
    return path
