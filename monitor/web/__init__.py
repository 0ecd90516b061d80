"""The operator page and its API."""
