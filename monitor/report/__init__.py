"""The calibration report: one HTML file that needs nothing from the network, for a person who decides on a bundle."""

from monitor.report.page import render

__all__ = ["render"]
