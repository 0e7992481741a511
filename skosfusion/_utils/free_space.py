"""How much memory and disk space is free, as far as the system says."""

import os
import shutil
from pathlib import Path

_MEMORY = Path("/proc/meminfo")
# Limit and use of a container, for both versions of control groups.
_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def free_memory():
    """Return how many bytes of memory this process may still take, None where nobody says."""
    found = [value for value in (_available(), *map(_left_in_group, _GROUPS)) if value is not None]
    return min(found, default=None)


def free_disk(folder):
    """Return how many bytes a folder, which need not be there yet, can still take."""
    place = Path(folder).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def shown_bytes(n_bytes):
    """Return a number of bytes as people read it, such as "100 kB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes} bytes"


def _available():
    try:
        for line in _MEMORY.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on Windows, nor on all other systems
        return None


def _left_in_group(files):
    try:
        limit, used = (int(Path(file).read_text()) for file in files)
    except (OSError, ValueError):  # there is no group, or no limit ("max")
        return None
    return max(limit - used, 0)
