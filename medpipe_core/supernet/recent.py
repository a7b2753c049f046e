"""What was made of the last few genotypes, so that it is not made at every use."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

from medpipe_core.space import Genotype

if TYPE_CHECKING:
    from collections.abc import Callable

Made = TypeVar("Made")

_MOST = 4  # a search step runs one path or two, several times each


class Recent(Generic[Made]):
    """Remembers what was made of a few genotypes; the one used longest ago is forgotten first.

    A copy remembers nothing, so that what holds one is copied and saved as if it had none.
    """

    def __init__(self) -> None:
        self._made: OrderedDict[Genotype, Made] = OrderedDict()

    def of(self, genotype: Genotype, make: Callable[[Genotype], Made]) -> Made:
        """Return what was made of a genotype, or make it."""
        if not isinstance(genotype, Genotype):
            return make(genotype)  # which says what is wrong
        if genotype in self._made:
            self._made.move_to_end(genotype)
        else:
            self._made[genotype] = make(genotype)
            if len(self._made) > _MOST:
                self._made.popitem(last=False)
        return self._made[genotype]

    def __reduce__(self) -> tuple[type[Recent[Made]], tuple[()]]:
        return type(self), ()
