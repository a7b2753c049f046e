"""The search spaces that this package registers."""
