"""What is in the middle of a crop, whichever way it is turned: embeddings without angle and place."""
