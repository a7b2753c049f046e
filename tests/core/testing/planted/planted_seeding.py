"""A plugin that seeds and draws while it is imported."""

import random

import planted_light

random.seed(0)
medpipe_register = planted_light.medpipe_register
