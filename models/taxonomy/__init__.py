"""The taxonomy of anomalies: which kinds there are, which of them an event is, and how they last. No torch, no clock.

Pure functions of numpy arrays: whoever calls them owns the process they run in, the files and the time.
"""
