"""The FastAPI peer: the original service's design, with its release repaired.

The original stored "1" as the lock's value and released on "locked", so it never released. Here
each acquisition has a token, and the script compares it. Everything else is as it was: SET NX EX,
repeated every 100 ms until the timeout, and one connection pool. With ORIGIN set, the action is a
POST to that backend, as in the service. Without it, the action is the original's placeholder.
"""

import asyncio
import os
import time
import uuid
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, HTTPException, Query, Request, Response
from redis.asyncio import ConnectionPool, Redis

RELEASE = """
if redis.call("get", KEYS[1]) == ARGV[1] then
    return redis.call("del", KEYS[1])
else
    return 0
end
"""
RETRY_SECONDS = 0.1
ORIGIN = os.environ.get("ORIGIN")


class RedisClient:
    """What the original called its wrapper of redis-py."""

    def __init__(self, url: str):
        self.redis = Redis(connection_pool=ConnectionPool.from_url(url, max_connections=5000))
        self.release_script = self.redis.register_script(RELEASE)

    async def try_acquire_lock(self, key: str, expire: int = 10) -> str | None:
        token = uuid.uuid4().hex
        return token if await self.redis.set(key, token, nx=True, ex=expire) else None

    async def acquire_lock_with_timeout(
        self, key: str, timeout: float, expire: int = 10
    ) -> str | None:
        deadline = time.monotonic() + timeout
        while True:
            token = await self.try_acquire_lock(key, expire)
            if token is not None:
                return token
            if time.monotonic() >= deadline:
                return None
            await asyncio.sleep(RETRY_SECONDS)

    async def release_lock(self, key: str, token: str) -> None:
        await self.release_script(keys=[key], args=[token])


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = RedisClient(os.environ["REDIS_URL"])
    app.state.http = httpx.AsyncClient(timeout=60, trust_env=False)
    yield
    await app.state.http.aclose()
    await app.state.client.redis.aclose()


app = FastAPI(lifespan=lifespan)


async def run_action(user_id: int) -> None:
    if ORIGIN:
        answer = await app.state.http.post(f"{ORIGIN}/users/{user_id}/perform-action")
        answer.raise_for_status()


@app.get("/healthz")
async def healthz():
    return {"status": "ok"}


@app.post("/api/v1/users/perform-action")
async def perform_action(user_id: int = Query(...), timeout: float = 5, expire: int = 10):
    client: RedisClient = app.state.client
    key = f"user:{user_id}:lock"
    token = await client.acquire_lock_with_timeout(key, timeout, expire)
    if token is None:
        raise HTTPException(status_code=423, detail="Could not acquire lock")
    try:
        await run_action(user_id)
    finally:
        await client.release_lock(key, token)
    return {"status": "success"}


@app.post("/api/v1/users/attempt-action")
async def attempt_action(user_id: int = Query(...), expire: int = 10):
    client: RedisClient = app.state.client
    key = f"user:{user_id}:lock"
    token = await client.try_acquire_lock(key, expire)
    if token is None:
        return {"status": "failed", "detail": "Could not acquire lock"}
    try:
        await run_action(user_id)
    finally:
        await client.release_lock(key, token)
    return {"status": "success"}


@app.get("/api/v1/users/{user_id}/cache/{key}")
async def read(user_id: int, key: str):
    value = await app.state.client.redis.get(f"user:{user_id}:cache:{key}")
    if value is None:
        raise HTTPException(status_code=404)
    return Response(value, media_type="application/json")


@app.put("/api/v1/users/{user_id}/cache/{key}", status_code=201)
async def write(user_id: int, key: str, request: Request):
    await app.state.client.redis.set(f"user:{user_id}:cache:{key}", await request.body(), ex=3600)
    return Response(status_code=201)
