"""What a run leaves behind: its folder, with files that are whole or absent, and its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpipe_core.lazy import lazy_names

if TYPE_CHECKING:
    from medpipe_core.record.run_folder import RunFolder, open_folder

__all__ = ["RunFolder", "open_folder"]

__getattr__ = lazy_names(__name__, {"run_folder": ("RunFolder", "open_folder")})
