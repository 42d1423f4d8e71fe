"""Folders with the files of the pages."""

from pathlib import Path

STATIC = Path(__file__).with_name("static")
"""HTML, styles and scripts of Ponant."""
VENDOR = Path(__file__).with_name("vendor")
"""Libraries, which ``vendor.py`` fetches."""
