"""Settings of the readers; they need no library to be told."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ReaderSettings(BaseModel):
    """Settings of a reader: none."""

    model_config = ConfigDict(extra="forbid", frozen=True)
