"""Commands. A module of this package that is run as one is interruptible from its first import."""

import sys

if sys.argv[:1] == ["-m"]:  # `python -m experiments.…`, and its module is not found yet
    from experiments import signals

    signals.watch()
