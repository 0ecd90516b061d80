"""What a surface looks like, wherever on it one looks: embeddings of frames without an object."""
