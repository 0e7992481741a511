"""Where real radiographs lie, if they do: beside the project, not in it."""

from pathlib import Path

CHEST_XRAY = Path(__file__).parents[3] / "shared" / "data" / "chest_xray"
