"""PostgreSQL without a password: every new connection signs in with a fresh Microsoft Entra token."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import certifi
import psycopg
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, DefaultAzureCredential
from psycopg_pool import ConnectionPool, PoolTimeout

# Public Azure. Sovereign clouds have other scopes, e.g. https://ossrdbms-aad.database.usgovcloudapi.net/.default
TOKEN_SCOPE = os.environ.get("DB_TOKEN_SCOPE", "https://ossrdbms-aad.database.windows.net/.default")
# B1ms leaves 35 connections for all instances of all apps together.
POOL_SIZE = int(os.environ.get("DB_POOL_SIZE", "5"))
# Any number, the same in every instance: only one of them creates the table.
CREATE_LOCK = 727_306_001

CREATE_ITEMS = """
CREATE TABLE IF NOT EXISTS items (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
  created_at timestamptz NOT NULL DEFAULT now()
)
"""


class DatabaseUnavailable(Exception):
    """No connection, or no right to what is needed. `code` is the SQLSTATE, or the class of the error where there is none.

    `message` is for the log; `public` is what a visitor may know.
    """

    def __init__(self, code: str, message: str, public: str = "the database is not available; the log of the app says why") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.public = public


def explain(error: BaseException) -> DatabaseUnavailable:
    """The error for the log and, by its code alone, for a visitor. Neither psycopg nor azure-identity put tokens into their messages."""
    code = getattr(error, "sqlstate", None) or type(error).__name__
    return DatabaseUnavailable(code, " ".join(str(error).split())[:500])


class Database:
    """A pool that opens connections when they are asked for, so that the app starts without a database too."""

    def __init__(self) -> None:
        self._credential = DefaultAzureCredential()
        self._last_error: BaseException | None = None
        self._has_items = False
        self._creating = threading.Lock()
        self._signing_in = threading.Lock()
        database = self

        class EntraConnection(psycopg.Connection):
            """Asks the credential for a token at each sign-in; the credential caches it while it is valid."""

            @classmethod
            def connect(cls, conninfo: str = "", **kwargs):
                try:
                    connection = super().connect(conninfo, password=database._token(), **kwargs)
                except Exception as error:
                    database._last_error = error
                    raise
                database._last_error = None
                return connection

        self._connection_class = EntraConnection
        self._pool = ConnectionPool(
            connection_class=EntraConnection,
            kwargs=settings,
            min_size=0,
            max_size=POOL_SIZE,
            max_lifetime=30 * 60,
            max_idle=5 * 60,
            timeout=5,
            # A failed attempt is given up soon; the next request starts a new one with a new token.
            reconnect_timeout=2,
            check=ConnectionPool.check_connection,
            open=False,
        )

    def _token(self) -> str:
        return self._credential.get_token(TOKEN_SCOPE).token

    def open(self) -> None:
        self._pool.open(wait=False)

    def close(self) -> None:
        self._pool.close()
        self._credential.close()

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        """A connection in a transaction: committed at the end of the block, rolled back when it raises."""
        settings()
        try:
            with self._pool.connection() as connection:
                yield connection
        except PoolTimeout as timeout:
            raise explain(self._last_error or timeout) from timeout
        except psycopg.errors.UndefinedTable as error:
            self._has_items = False
            raise explain(error) from error
        except (psycopg.Error, ClientAuthenticationError, CredentialUnavailableError) as error:
            raise explain(error) from error

    def check_sign_in(self) -> dict[str, object]:
        """Signs in now, on a connection of its own: one of the pool was made before, and works on when its role is broken since."""
        target = settings()
        # One at a time: visitors must not use up the server's connections.
        if not self._signing_in.acquire(timeout=5):
            raise DatabaseUnavailable("busy", "another check waits for the database")
        try:
            with self._connection_class.connect(**target) as connection:
                row = connection.execute("SELECT current_user").fetchone()
                return {"user": row[0], "tls": connection.pgconn.ssl_in_use}
        except (psycopg.Error, ClientAuthenticationError, CredentialUnavailableError) as error:
            raise explain(error) from error
        finally:
            self._signing_in.release()

    @contextmanager
    def items(self) -> Iterator[psycopg.Connection]:
        """A connection with the table `items` in place; creates it at first use when the role may."""
        if not self._has_items:
            self._create_items()
        with self.connection() as connection:
            yield connection

    def _create_items(self) -> None:
        with self._creating, self.connection() as connection:
            if connection.execute("SELECT to_regclass('items')").fetchone()[0] is None:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (CREATE_LOCK,))
                try:
                    connection.execute(CREATE_ITEMS)
                except psycopg.errors.InsufficientPrivilege as error:
                    raise DatabaseUnavailable(
                        error.sqlstate or "42501",
                        f'role "{connection.info.user}" may not create the table items',
                        "the table items cannot be created: give the app the access level owner, or create the table yourself",
                    ) from error
        self._has_items = True


def settings() -> dict[str, object]:
    """Read when used, not at import: a missing setting shows in the health check and does not stop the app."""
    missing = [name for name in ("DB_HOST", "DB_NAME", "DB_USER") if not os.environ.get(name)]
    if missing:
        raise DatabaseUnavailable("settings-missing", f"not set: {', '.join(missing)}")
    return {
        "host": os.environ["DB_HOST"],
        "port": os.environ.get("DB_PORT", "5432"),
        "dbname": os.environ["DB_NAME"],
        "user": os.environ["DB_USER"],
        "sslmode": "verify-full",
        "sslrootcert": os.environ.get("PGSSLROOTCERT") or certifi.where(),
        "gssencmode": "disable",
        "connect_timeout": 10,
        "application_name": os.environ.get("WEBSITE_SITE_NAME", "fastapi"),
    }
