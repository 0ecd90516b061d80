"""What is learned: networks, their training, and the one fast path from a frame batch to scores. Pure functions."""
