"""What the operator page shows of the past: scores over time and over the layers of a job. In memory alone."""
