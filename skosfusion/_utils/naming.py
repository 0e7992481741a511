"""The public names of classes and functions."""

import sys


def publish(room, names):
    """Let the public names of a room carry its name, so that files do not know private modules."""
    for name in names:
        thing = getattr(sys.modules[room], name)
        if hasattr(thing, "__module__"):
            thing.__module__ = room
