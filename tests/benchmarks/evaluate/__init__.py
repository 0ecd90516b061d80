"""How well framewatch finds real and simulated anomalies, beside baselines: `make evaluate`."""
