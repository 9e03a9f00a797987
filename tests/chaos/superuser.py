"""A superuser's session in a service's Postgres."""

import asyncpg

from infra.native import Stack, credentials
from lab.state import Stack as Told


async def superuser(native: Stack, told: Told, service: str) -> asyncpg.Connection:
    password = credentials.load(native.layout.credentials)["postgres"]
    return await asyncpg.connect(told.databases[service].owner, user="postgres", password=password)
