"""Whether limits keep the budget of false alarms that they promise: `python -m tests.benchmarks.promise`."""
