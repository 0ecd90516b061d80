"""What is promised: charts, limits, event rule, camera checks. Pure functions of numpy arrays; no torch, no clock.

scipy loads its parts when they are first asked for: modules import it whole, and its heavy parts (statistics, signals,
optimisation) by their full names, so that a daemon that fits nothing starts without them.
"""
