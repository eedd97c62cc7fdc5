"""PostgreSQL drivers for Python with a token as the password: each prints what the server answers, and what it says without TLS."""

import asyncio
import json
import os
import ssl

import asyncpg
import pg8000.dbapi
import psycopg

host, user, database = os.environ["PGHOST"], os.environ["PGUSER"], os.environ["PGDATABASE"]
token, authority = os.environ.pop("PGPASSWORD"), os.environ["PGSSLROOTCERT"]
question = "SELECT current_user::text"


def with_psycopg() -> str:
    settings = {"host": host, "user": user, "password": token, "dbname": database, "sslmode": "verify-full", "sslrootcert": authority}
    with psycopg.connect(**settings) as connection, connection.pipeline():
        return connection.execute(question, prepare=True).fetchone()[0]


def with_pg8000() -> str:
    trust = ssl.create_default_context(cafile=authority)
    connection = pg8000.dbapi.connect(user, host=host, password=token, database=database, ssl_context=trust)
    cursor = connection.cursor()
    cursor.execute(question)
    (answer,) = cursor.fetchone()
    connection.close()
    return answer


def with_asyncpg() -> str:
    async def ask() -> str:
        trust = ssl.create_default_context(cafile=authority)
        # The password as a function, as Microsoft's pages have it: asked anew for each connection of the pool.
        pool = await asyncpg.create_pool(host=host, user=user, password=lambda: token, database=database, ssl=trust, min_size=3)
        answers = await asyncio.gather(*(pool.fetchval(question) for _ in range(5)))
        await pool.close()
        return answers[-1]

    return asyncio.run(ask())


def without_tls() -> str:
    try:
        psycopg.connect(host=host, user=user, password=token, dbname=database, sslmode="disable").close()
        return "let in"
    except psycopg.OperationalError as refusal:
        return str(refusal).replace(token, "<token>")


answers = {"psycopg": with_psycopg(), "pg8000": with_pg8000(), "asyncpg": with_asyncpg(), "without TLS": without_tls()}
print(json.dumps(answers))
