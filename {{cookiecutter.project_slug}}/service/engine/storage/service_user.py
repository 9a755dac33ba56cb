"""The user that a service runs as, where another migrates: let at what the migrations made, and at nothing else."""

from typing import cast

import psycopg
from psycopg import sql
from sqlalchemy import Connection, text

_KNOWN = text("""
    SELECT name = current_user AS is_owner, to_regrole(quote_ident(name)) IS NOT NULL AS exists
    FROM CAST(:user AS text) AS name
""")
_GRANTS = text("""
    WITH service (name) AS (SELECT CAST(:user AS text))
    SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), name) FROM service
    UNION ALL
    SELECT format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), name) FROM service
    UNION ALL
    SELECT format(
        CASE
            WHEN made.relkind = 'S' THEN 'GRANT USAGE ON SEQUENCE %s TO %I'
            WHEN made.oid IN (record.oid, to_regclass('engine_version'), to_regclass('alembic_version'))
                THEN 'GRANT SELECT ON %s TO %I'
            ELSE 'GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I'
        END,
        made.oid::regclass, name
    )
    FROM service, pg_class AS record JOIN pg_class AS made USING (relnamespace, relowner)
    WHERE record.oid = to_regclass('applied_revisions') AND made.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
""")
"""Whatever the migrations' owner has in their schema, so that a table or view made by SQL is among it. How far the
migrations have come is only to be read."""


class ServiceUserError(Exception):
    """The user cannot be let in. The message is one line."""


def let_in(connection: Connection, user: str, password: str | None) -> None:
    """Make the user if there is a password for it, and give it the rights of a service.

    Raises:
        ServiceUserError: It is the one that migrates, or there is none and nothing to make it with.
    """
    server = cast(psycopg.Connection, connection.connection.driver_connection)
    known = connection.execute(_KNOWN, {"user": user}).one()
    if known.is_owner:
        raise ServiceUserError("DATABASE_SERVICE_USER is the user of DATABASE_URL, who migrates: name another")
    if password is not None:
        # What is logged, as RDS does with such statements, is not the password itself.
        verifier = server.pgconn.encrypt_password(password.encode(), user.encode()).decode()
        statement = "ALTER ROLE {} LOGIN PASSWORD {}" if known.exists else "CREATE ROLE {} LOGIN PASSWORD {}"
        server.execute(sql.SQL(statement).format(sql.Identifier(user), sql.Literal(verifier)))
    elif not known.exists:
        raise ServiceUserError(f"there is no user {user}: with DATABASE_SERVICE_PASSWORD it is made")
    for (grant,) in connection.execute(_GRANTS, {"user": user}).all():
        server.execute(grant)
    connection.commit()
