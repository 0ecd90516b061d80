"""Live pictures for the operator page, drawn by a process of their own while somebody looks."""
