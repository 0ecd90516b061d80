"""Whether anomalies of one kind lie together: recorded frames, embeddings of them, and what clustering finds."""
