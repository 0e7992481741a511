import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import skosfusion
from skosfusion import datasets, images
from skosfusion.exceptions import ImageError, WeightsError

PUBLIC = [getattr(skosfusion, name) for name in skosfusion.__all__ if name[0].isalpha()]
DOCUMENTED = [
    thing
    for thing in [*PUBLIC, *(getattr(room, n) for room in (datasets, images) for n in room.__all__)]
    if callable(thing)
]
PACKAGE = Path(skosfusion.__file__).parent


def test_all_is_sorted_and_everything_in_it_is_there():
    assert skosfusion.__all__ == sorted(skosfusion.__all__)
    assert set(skosfusion.__all__) <= set(dir(skosfusion))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'FusionRegressor'"):
        skosfusion.FusionRegressor  # noqa: B018


def test_the_version_is_that_of_the_distribution():
    assert skosfusion.__version__ == importlib.metadata.version("skosfusion")


@pytest.mark.parametrize("thing", DOCUMENTED, ids=lambda thing: thing.__name__)
def test_documented_parameters_and_defaults_are_those_of_the_signature(thing):
    documentation = inspect.getdoc(thing)
    for parameter in inspect.signature(thing).parameters.values():
        if parameter.name == "self" or parameter.kind.name.startswith("VAR"):
            continue
        line = re.search(rf"^(?:\w+, )*{parameter.name}(?:, \w+)* : (.*)$", documentation, re.M)
        assert line, f"{parameter.name} is not documented"
        default = re.search(r"default=(.*)$", line[1])
        if parameter.default is inspect.Parameter.empty:
            assert not default, parameter.name
            continue
        assert default, f"{parameter.name} has a default that is not documented"
        expected = parameter.default
        names = {
            getattr(expected, "__name__", None),
            f"torch.nn.{getattr(expected, '__name__', '')}",
        }
        names |= {f"torch.optim.{getattr(expected, '__name__', '')}"}
        text = default[1].strip()
        assert text in names or _evaluate(text) == expected, (parameter.name, text, expected)


def _evaluate(text):
    try:
        return eval(text, {"__builtins__": {}}, {})  # noqa: S307
    except (NameError, SyntaxError, AttributeError):
        return text


@pytest.mark.parametrize("thing", DOCUMENTED, ids=lambda thing: thing.__name__)
def test_everything_public_has_an_example(thing):
    assert ">>>" in inspect.getdoc(thing)


@pytest.mark.parametrize("room", ["preprocessing", "images", "datasets", "model_selection"])
def test_rooms_without_networks_do_not_load_torch(room):
    code = f"import sys, skosfusion.{room}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603


ROOMS = {
    "exceptions": (),
    "files": (),
    "preprocessing": (),
    "images": ("exceptions", "files"),
    "datasets": ("images", "preprocessing", "exceptions", "files"),
    "network": (),
    "folding": ("network",),
    "model_files": ("exceptions", "files"),
    "weights": ("network", "exceptions"),
    "classifier": ("model_files", "network", "folding", "weights", "images", "exceptions", "files"),
    "pipeline": ("classifier", "preprocessing", "exceptions", "model_files"),
    "model_selection": ("images", "preprocessing", "exceptions"),
    "inspection": (
        "classifier",
        "folding",
        "images",
        "model_selection",
        "network",
        "preprocessing",
    ),
}


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_from_the_left(room):
    folder = PACKAGE / room
    files = folder.glob("*.py") if folder.is_dir() else [PACKAGE / f"{room}.py"]
    inside = 2 if folder.is_dir() else 1
    for file in files:
        text = re.sub(r'""".*?"""', "", file.read_text(encoding="utf-8"), flags=re.S)
        used = re.findall(rf"^\s*from \.{{{inside}}}(\w+)", text, re.M)
        used += re.findall(r"^\s*from skosfusion\.(\w+)", text, re.M)
        assert set(used) - {room} <= set(ROOMS[room]), f"{file.name} imports {used}"


def test_errors_survive_a_process_border():
    import pickle

    error = pickle.loads(pickle.dumps(ImageError("it is empty", path="knee.png", row=3)))
    assert (error.path, error.row) == ("knee.png", 3)
    assert "row 3" in str(error)
    assert str(pickle.loads(pickle.dumps(WeightsError("gone")))) == "gone"
