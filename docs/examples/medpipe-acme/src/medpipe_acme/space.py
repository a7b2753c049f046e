"""A space: gamma contrast and a small network, some of it from medpipe, some from here."""

from medpipe_core import Group, Operation, Repeat, SearchSpace, ValueChoice, operation


def small_space(registry, *, channels: int = 8):
    """Describe it; `registry` is handed over, so that declared parameters can be looked up."""
    gamma = operation(
        registry,
        "augmentation",
        "acme-gamma",
        {"p": ValueChoice(0.0, 0.5)},
        neutral={"p": 0.0},
    )
    stem = Operation("block", "conv3d", {"channels": channels, "kernel": 3, "stride": 2})
    layer = operation(registry, "block", "acme-conv")
    network = Group({"stem": stem, "layers": Repeat(layer, (1, 2, 3))})
    return SearchSpace("acme-small", Group({"gamma": gamma, "network": network}))
