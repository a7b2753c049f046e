"""What this package adds to medpipe; import strings, so that registering imports nothing heavy."""

from medpipe_core import hookimpl


@hookimpl
def medpipe_register(registry):
    """Register everything; medpipe calls this once, when it loads plugins."""
    registry.register(
        "augmentation", "acme-gamma", "medpipe_acme.gamma:Gamma", summary="gamma contrast"
    )
    registry.register(
        "block", "acme-conv", "medpipe_acme.block:ResidualConv", summary="one residual convolution"
    )
    registry.register(
        "dataset",
        "acme-stripes",
        "medpipe_acme.dataset:Stripes",
        parameters="medpipe_acme.dataset:StripesSettings",
        summary="made in process: stripes along depth or along width",
    )
    registry.register(
        "dataset",
        "acme-scans",
        "medpipe_acme.scans:Scans",
        parameters="medpipe_acme.scans:ScansSettings",
        summary="volumes, labels and patients of a .npz file of yours",
    )
    registry.register(
        "searcher",
        "acme-climb",
        "medpipe_acme.searcher:HillClimb",
        parameters="medpipe_acme.settings:HillClimbSettings",
        summary="changes the best genotype that it knows",
    )
    registry.register(
        "estimator",
        "acme-balanced",
        "medpipe_acme.estimator:Balanced",
        parameters="medpipe_acme.settings:BalancedSettings",
        summary="look-ahead at the Brier score, every class the same",
    )
    registry.register(
        "space", "acme-small", "medpipe_acme.space:small_space", summary="a dozen small networks"
    )
    registry.register(
        "space",
        "acme-joint",
        "medpipe_acme.joint:joint_space",
        parameters="medpipe_acme.joint:JointSettings",
        summary="the paper's augmentation, a small network, training settings",
    )
