"""Airfoils: the question that is asked of them, and other programs' word on the answers."""
