"""The taxonomy of anomalies as it runs: kinds in shared memory, events named by them, and what is shown of them."""
