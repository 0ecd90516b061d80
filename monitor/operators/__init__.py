"""`framewatch alarms`: what people do about alarms from a terminal, with a daemon that runs or one that does not."""
