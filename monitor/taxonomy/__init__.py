"""Kinds of anomaly as the daemon keeps them: frames and kinds on disk, grouping in a process of its own, names.

What groups, matches and chooses is in `models.taxonomy`: this is the shell around it.
"""
