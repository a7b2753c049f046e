"""Fixed networks, to compare with and to search augmentation on."""
