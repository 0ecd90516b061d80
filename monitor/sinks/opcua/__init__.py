"""An OPC UA server: alarms as conditions after Part 9, the permit and the state as variables. docs/opcua.md.

`settings` is its part of the configuration and `sink` its front; only what is asked for loads the library.
"""
