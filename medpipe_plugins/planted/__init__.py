"""Planted problems: made-up data and small spaces whose best answer is known beforehand."""
