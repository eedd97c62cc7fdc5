"""Items in PostgreSQL, without a password anywhere. Start: python -m uvicorn main:app --host 0.0.0.0 --port 8000"""

import logging
import time
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, Field
from starlette.exceptions import HTTPException

import json_log
from database import Database, DatabaseUnavailable

json_log.configure()
log = logging.getLogger("app")
database = Database()

ITEM = """id, name, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
# The routes are open to everybody: what strangers may send and keep is bounded.
BODY_BYTES = 16 * 1024
MAX_ITEMS = 10_000
INSERT = f"""INSERT INTO items (name) SELECT %s WHERE (SELECT count(*) FROM (SELECT FROM items LIMIT {MAX_ITEMS}) kept) < {MAX_ITEMS} RETURNING {ITEM}"""
ROUTES = [
    "GET /healthz",
    "GET /healthz/database",
    "GET /items",
    "POST /items",
    "GET /items/{id}",
    "DELETE /items/{id}",
]


@asynccontextmanager
async def lifespan(_: FastAPI):
    database.open()
    log.info("started")
    yield
    database.close()
    log.info("stopped")


app = FastAPI(title="items", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)


def storable(name: str) -> str:
    """PostgreSQL text holds neither NUL nor half a surrogate pair."""
    if "\0" in name:
        raise ValueError("NUL is not allowed")
    name.encode("utf-8")
    return name


class NewItem(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=200, strict=True), AfterValidator(storable)]


ItemId = Annotated[int, Path(ge=1, le=2**53 - 1)]


def as_item(row: tuple) -> dict:
    return {"id": row[0], "name": row[1], "createdAt": row[2]}


def problem(status: int, error: str, message: str) -> JSONResponse:
    return JSONResponse({"error": error, "message": message}, status_code=status)


def refuse_body(request: Request) -> Response | None:
    """Before it is read: the framework takes a body of any length into memory."""
    length = request.headers.get("content-length", "")
    if "transfer-encoding" in request.headers and not length:
        return problem(411, "refused", "the body must come with its length")
    if length.isdecimal() and int(length) > BODY_BYTES:
        return problem(413, "refused", f"the body is longer than {BODY_BYTES} bytes")
    return None


@app.middleware("http")
async def log_request(request: Request, call_next) -> Response:
    start = time.perf_counter()
    try:
        response = refuse_body(request) or await call_next(request)
    except Exception:
        log.exception("%s %s failed", request.method, request.url.path)
        response = problem(500, "internal", "unexpected error, see the log")
    ms = round((time.perf_counter() - start) * 1000, 1)
    fields = {"method": request.method, "path": request.url.path, "status": response.status_code, "ms": ms}
    log.info("%s %s %s", request.method, request.url.path, response.status_code, extra={"fields": fields})
    return response


@app.exception_handler(RequestValidationError)
async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    places = [".".join(str(part) for part in one["loc"] if part != "body") + ": " + one["msg"] for one in error.errors()]
    return problem(422, "invalid", "; ".join(places))


@app.exception_handler(HTTPException)
async def refused(_: Request, error: HTTPException) -> JSONResponse:
    return problem(error.status_code, "not-found" if error.status_code == 404 else "refused", str(error.detail))


@app.exception_handler(DatabaseUnavailable)
async def unavailable(_: Request, error: DatabaseUnavailable) -> JSONResponse:
    # The whole story is for the log alone: it names hosts, roles and settings.
    log.error("database: %s", error.message, extra={"fields": {"code": error.code}})
    return JSONResponse({"status": "unavailable", "error": error.code, "message": error.public}, status_code=503)


@app.get("/")
async def index() -> dict:
    return {"name": "items", "routes": ROUTES}


# Asynchronous on purpose: it answers even while every worker thread waits for the database.
@app.get("/healthz")
async def health() -> dict:
    return {"status": "ok"}


@app.get("/healthz/database")
def database_health() -> dict:
    return {"status": "ok"} | database.check_sign_in()


@app.post("/items", status_code=201)
def create_item(item: NewItem) -> dict:
    with database.items() as connection:
        row = connection.execute(INSERT, (item.name,)).fetchone()
    if row is None:
        raise HTTPException(409, f"there are {MAX_ITEMS} items already: delete some")
    return as_item(row)


@app.get("/items")
def list_items(limit: Annotated[int, Query(ge=1, le=100)] = 20) -> dict:
    with database.items() as connection:
        rows = connection.execute(f"SELECT {ITEM} FROM items ORDER BY items.id DESC LIMIT %s", (limit,)).fetchall()
        return {"items": [as_item(row) for row in rows]}


@app.get("/items/{item_id}")
def read_item(item_id: ItemId) -> dict:
    with database.items() as connection:
        row = connection.execute(f"SELECT {ITEM} FROM items WHERE items.id = %s", (item_id,)).fetchone()
    if row is None:
        raise HTTPException(404, f"no item {item_id}")
    return as_item(row)


@app.delete("/items/{item_id}", status_code=204)
def delete_item(item_id: ItemId) -> Response:
    with database.items() as connection:
        deleted = connection.execute("DELETE FROM items WHERE id = %s", (item_id,)).rowcount
    if not deleted:
        raise HTTPException(404, f"no item {item_id}")
    return Response(status_code=204)
