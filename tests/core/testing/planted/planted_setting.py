"""A plugin that sets torch's default type while it is imported."""

import planted_light
import torch

torch.set_default_dtype(torch.float64)
medpipe_register = planted_light.medpipe_register
