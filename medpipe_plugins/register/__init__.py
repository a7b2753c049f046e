"""What this package registers, one module for each entry point; nothing heavy is imported."""
