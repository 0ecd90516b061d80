"""What is promised: charts, limits, event rule, camera checks. Pure functions of numpy arrays; no torch, no clock."""
