"""Alarms: what they are (`alarm`), which events they follow (`book`), and how they live (`life` and what it asks)."""
