"""A planted pickle: who loads it leaves a trace."""

import os


class Executed:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return os.mkdir, (self.trace,)
