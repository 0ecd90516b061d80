"""Snapshots of the alarms, for who joins late: asked for and answered over ZeroMQ, consistent with the alarm socket."""
