import ast
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


@pytest.mark.parametrize(
    "room",
    ["preprocessing", "images", "datasets", "model_selection", "evaluation", "report", "cli"],
)
def test_rooms_without_networks_do_not_load_torch(room):
    code = f"import sys, skosfusion.{room}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603


ROOMS = {
    "_utils": ("exceptions",),
    "exceptions": (),
    "preprocessing": ("_utils", "exceptions"),
    "images": ("_utils", "exceptions"),
    "datasets": ("_utils", "exceptions", "preprocessing", "images"),
    "network": ("_utils", "exceptions", "images"),
    "evaluation": ("_utils", "exceptions", "images"),
    "classifier": ("_utils", "exceptions", "images", "network"),
    "pipeline": ("_utils", "classifier", "preprocessing"),
    "model_selection": ("_utils", "exceptions", "preprocessing", "images", "evaluation"),
    "inspection": (
        "_utils",
        "exceptions",
        "preprocessing",
        "images",
        "network",
        "classifier",
        "model_selection",
        "evaluation",
    ),
    "persistence": (
        "_utils",
        "exceptions",
        "preprocessing",
        "images",
        "network",
        "classifier",
        "evaluation",
        "inspection",
    ),
    "report": ("_utils", "exceptions", "images", "evaluation", "inspection"),
    "cli": (
        "_utils",
        "exceptions",
        "preprocessing",
        "images",
        "datasets",
        "network",
        "classifier",
        "persistence",
        "pipeline",
        "model_selection",
        "evaluation",
        "inspection",
        "report",
    ),
    "__main__": ("cli",),
}


def imports_of(file):
    """List what a module imports from the package: (room, rest of the path, names)."""
    module = ("skosfusion", *file.relative_to(PACKAGE).with_suffix("").parts)
    package = module[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            # The package as a whole opens any room; no row of the map allows it.
            targets = [tuple(alias.name.split(".")) for alias in node.names]
            ours = [target for target in targets if target[0] == "skosfusion"]
            yield from ((target[:2][-1], target[2:], ()) for target in ours)
        if not isinstance(node, ast.ImportFrom):
            continue
        above = package[: len(package) - node.level + 1] if node.level else ()
        target = (*above, *(node.module.split(".") if node.module else ()))
        if target[:1] == ("skosfusion",):
            names = [alias.name for alias in node.names]
            if len(target) == 1:
                rooms = [skosfusion._ROOMS.get(name, name) for name in names]
                yield from ((room, (), ()) for room in rooms if room in ROOMS)
            else:
                yield target[1], target[2:], names


def files_of(room):
    folder = PACKAGE / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{room}.py"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from ..network import FusionNetwork", ("network", (), ["FusionNetwork"])),
        (
            "from ..network._fusion import FusionNetwork",
            ("network", ("_fusion",), ["FusionNetwork"]),
        ),
        ("from ..network import _fusion", ("network", (), ["_fusion"])),
        ("from .. import network", ("network", (), ())),
        ("from .. import FusionClassifier", ("classifier", (), ())),
        ("from skosfusion.network import _fusion", ("network", (), ["_fusion"])),
        ("import skosfusion.network._fusion", ("network", ("_fusion",), ())),
        ("import torch, skosfusion as package", ("skosfusion", (), ())),
        ("def later():\n    from ..network import _fusion", ("network", (), ["_fusion"])),
    ],
)
def test_no_way_to_import_is_overlooked(line, found, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    file = tmp_path / "images" / "_read.py"
    file.parent.mkdir()
    file.write_text(f"from .. import __version__\nimport torch\n{line}\n")
    assert list(imports_of(file)) == [found]


def test_every_room_is_on_the_map():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - {"__init__", "__pycache__", "py"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_from_the_left(room):
    for file in files_of(room):
        used = {other for other, *_ in imports_of(file)}
        assert used - {room} <= set(ROOMS[room]), f"{file.name} imports {used}"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_entered_by_its_face_only(room):
    for file in files_of(room):
        for other, inside, names in imports_of(file):
            if other in (room, "_utils"):
                continue
            private = [name for name in (*inside, *names) if name.startswith("_")]
            assert not inside, f"{file.name} enters {other}.{'.'.join(inside)}"
            assert not private, f"{file.name} imports {private} of {other}"


@pytest.mark.parametrize("room", [room for room in ROOMS if (PACKAGE / room).is_dir()])
def test_public_names_carry_their_public_module(room):
    module = importlib.import_module(f"skosfusion.{room}")
    for name in getattr(module, "__all__", ()):
        thing = getattr(module, name)
        assert getattr(thing, "__module__", module.__name__) == module.__name__, name


# Every room writes files with these, and must know what they promise.
WITH_SECTIONS = {"write_atomically", "sweep_temporary_files"}


def private_functions(file, public):
    """Find the functions of a module that no user sees, and the methods."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name not in public:
            yield node
        elif isinstance(node, ast.ClassDef):
            methods = (part for part in node.body if isinstance(part, ast.FunctionDef))
            yield from (m for m in methods if "_" in (m.name[0], node.name[0]))


@pytest.mark.parametrize("room", ROOMS)
def test_private_functions_have_docstrings_without_sections(room):
    module = importlib.import_module(f"skosfusion.{room}")
    public = {*skosfusion.__all__, *getattr(module, "__all__", ()), *WITH_SECTIONS}
    for file in files_of(room):
        for function in private_functions(file, public):
            text = ast.get_docstring(function) or ""
            assert "\n---" not in text, f"{file.name}: {function.name} is not for users"


def test_errors_survive_a_process_border():
    import pickle

    error = pickle.loads(pickle.dumps(ImageError("it is empty", path="knee.png", row=3)))
    assert (error.path, error.row) == ("knee.png", 3)
    assert "row 3" in str(error)
    assert str(pickle.loads(pickle.dumps(WeightsError("gone")))) == "gone"
