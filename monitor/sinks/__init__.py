"""Where alarms go beside the daemon's own socket."""
