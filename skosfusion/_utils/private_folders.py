"""Folders for copies of what may be private: for their owner alone, and checked to be so."""

import os
import stat
import warnings

# Folders that were warned of.
_WARNED = set()
# Who may write everywhere anyhow.
_SYSTEM = (0,)


def make_private_folder(folder):
    """Make a folder and those above it that are not there, for their owner alone."""
    missing = []
    place = folder
    while not os.path.isdir(place) and place != place.parent:
        missing.append(place)
        place = place.parent
    for place in reversed(missing):
        # Another process may be faster.
        place.mkdir(mode=0o700, exist_ok=True)


def warn_of_shared_folder(*folders, parameter):
    """Warn of the first of these folders that other users can write; once for each."""
    for folder in folders:
        why = _who_else_writes(folder)
        if why is None or str(folder) in _WARNED:
            continue
        _WARNED.add(str(folder))
        warnings.warn(
            f"{parameter}: the folder {str(folder)!r} {why}, and whoever can write there can "
            "change results; run chmod go-w on it, or name a folder of your own. If you trust "
            "them all, ignore this warning",
            stacklevel=3,
        )
        return


def is_private(folder):
    """Return whether nobody but its owner and root can write a folder; False for none."""
    return os.path.isdir(folder) and _who_else_writes(folder) is None


def _who_else_writes(folder):
    """Return who can write a folder beside its owner and root, or None."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    if os.name != "posix":
        return None  # permissions are not those of `os.stat` there
    if status.st_mode & stat.S_IWOTH:
        return "can be written by every user"
    if status.st_uid not in (*_SYSTEM, os.geteuid()):
        return f"belongs to another user (uid {status.st_uid})"
    if status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_gid):
        return f"can be written by its group (gid {status.st_gid})"
    return None


def _is_private_group(gid):
    """Return whether a group is its user's own, as many systems make one for each user."""
    import grp
    import pwd

    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
