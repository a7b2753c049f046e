"""Plugins of medpipe: 3D augmentation, blocks, datasets and the registered spaces."""
