"""One seed makes a tree of generators: a child's seed follows from its parent's and its name."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    import torch


def child_seed(seed: int, *names: str) -> int:
    """Derive the seed of a named child, in [0, 2⁶³).

    The same seed and names give the same child on every machine and in every process; a child
    does not depend on which siblings exist or in which order they are made.
    """
    text = "/".join((str(seed), *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def seeded_init(seed: int) -> Iterator[None]:
    """Seed the initialisation of modules built inside the block, and nothing after it.

    Torch's layers draw their first weights from torch's global CPU generator and accept no other.
    This seeds that generator for the block and puts its state back, so that neither side notices.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


class TorchStream:
    """What a run draws from torch's global generators: a stream of its own, which goes on.

    Dropout, drop path and the like draw from the global generator of the device that they run on
    and accept no other. Inside of `running()` the global generators of the CPU and of the device
    continue this stream; outside of it they are as if nothing had run, whatever was raised. So a
    seed decides what is drawn, whatever else the process draws, and neither side notices the other.

    The global generators are one for all threads: run one stream at a time.

    Args:
        seed: Where the stream begins.
        device: The device that is drawn on, beside the CPU.

    Example:
        >>> import torch
        >>> stream = TorchStream(0)
        >>> with stream.running():
        ...     one = torch.rand(3)
        >>> again = TorchStream(0)
        >>> _ = torch.rand(100)
        >>> with again.running():
        ...     print(torch.equal(one, torch.rand(3)))
        True
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        import torch

        self._generators = _global_generators(device)
        self._states = {
            name: torch.Generator(generator.device).manual_seed(seed).get_state()
            for name, generator in self._generators.items()
        }

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let what runs inside of the block draw from this stream."""
        outside = {name: g.get_state() for name, g in self._generators.items()}
        for name, generator in self._generators.items():
            generator.set_state(self._states[name])
        try:
            yield
        finally:
            for name, generator in self._generators.items():
                self._states[name] = generator.get_state()
                generator.set_state(outside[name])

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream is: a tensor for `cpu`, and one for another kind of device."""
        return dict(self._states)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; a kind of device that the state knows nothing of goes on as it is."""
        self._states |= {name: state[name] for name in self._states if name in state}


def _global_generators(device: torch.device | str) -> dict[str, torch.Generator]:
    """Return the global generators that work on a device can draw from, by kind of device."""
    import torch

    device = torch.device(device)
    found = {"cpu": torch.default_generator}
    if device.type in ("cuda", "xpu"):
        module = torch.get_device_module(device)
        module.init()  # before, there are none
        number = module.current_device() if device.index is None else device.index
        found[device.type] = module.default_generators[number]
    elif device.type == "mps":
        found[device.type] = torch.mps._get_default_mps_generator()
    return found
