"""The daemon: sockets, clocks, threads, files and HTTP around `models` and `calibration`. It holds no statistics."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("framewatch")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+source"
