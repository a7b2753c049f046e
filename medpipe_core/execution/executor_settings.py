"""Settings of the executors; torch-free, for help and checking."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class LocalSettings(BaseModel):
    """Parameters of the executor `local`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workers: int = Field(
        1, ge=1, le=1024, description="processes that trials run in; 1 is the run's own"
    )
