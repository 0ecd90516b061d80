"""The flight recorder: frames around each event in one HDF5 file, written by a process of its own beside the hot loop.

What the hot process knows of it are a few numbers in shared memory; nothing in it waits for the recorder.
"""
