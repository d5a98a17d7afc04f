"""Figures. matplotlib (the extra ``plot``) is loaded only where one is drawn."""
