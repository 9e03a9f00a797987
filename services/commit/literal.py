"""Values in the text of a statement, for many statements in one round trip: they can have no parameters."""


def literal(value: str) -> str:
    """Any text as one of SQL's. Postgres takes a backslash for itself (`standard_conforming_strings`)."""
    return "'" + value.replace("'", "''") + "'"
