"""A module that greets whoever imports it."""

import sys

from planted_datasets import Blobs  # noqa: F401

print("acme 1.0, welcome!", file=sys.stderr)
