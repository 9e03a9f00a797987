"""What a process is told by its environment. Everything else is a constant beside its reason."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Settings:
    """Where this process lives and where its servers are. `DATABASE_URL` is `postgresql://…`."""

    process_name: str
    http_host: str
    http_port: int
    database_url: str
    kafka_bootstrap: str
    redis_url: str
    internal_url: str
    operator_token: str
    participant_token: str
    journal_sample: float
    coordinator_silence_s: float
    chaos: bool
    """`CHAOS=1`: this process can be told to die, to wait and to lose messages. It cannot otherwise."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Raises SystemExit that names every missing variable at once."""
        names = {name: name.upper() for name in cls.__dataclass_fields__}
        missing = [variable for variable in names.values() if not environ.get(variable)]
        if missing:
            raise SystemExit(f"not set: {', '.join(missing)} (`make up` sets them)")
        values = {name: environ[variable] for name, variable in names.items()}
        numbers = {name: float(values[name]) for name in ("journal_sample", "coordinator_silence_s")}
        chaos = values["chaos"] == "1"
        return cls(**{**values, **numbers, "http_port": int(values["http_port"]), "chaos": chaos})  # type: ignore[arg-type]
