"""The service that edgelatch replaces: FastAPI on the same Redis, with the same keys and routes.

One thing is repaired, as docs/from-fastapi.md asks before both run side by side: each lock has its
own token and is released by it. ORIGINAL=1 in the environment restores the original, which stored
"1" and released on "locked", so it never released.

Its action is a POST to ORIGIN, which sees whether two actions of one user overlap.
"""

import asyncio
import os
import secrets
import time
import urllib.request
from contextlib import asynccontextmanager

import redis.asyncio
from fastapi import APIRouter, FastAPI, HTTPException

ORIGIN = os.environ["ORIGIN"]
ORIGINAL = os.environ.get("ORIGINAL") == "1"
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

connection = redis.asyncio.Redis(port=int(os.environ["REDIS_PORT"]))
router = APIRouter(prefix="/api/v1/users")


@asynccontextmanager
async def lock(user_id, timeout, expire):
    """Holds the user's lock; yields whether it was acquired in time."""
    key = f"user:{user_id}:lock"
    token = "1" if ORIGINAL else secrets.token_hex(16)
    deadline = time.monotonic() + timeout
    while not (had := await connection.set(key, token, nx=True, ex=expire)):
        if time.monotonic() >= deadline:
            break
        await asyncio.sleep(0.005)
    try:
        yield had
    finally:
        if had:
            await connection.eval(RELEASE, 1, key, "locked" if ORIGINAL else token)


def act(user_id):
    url = f"{ORIGIN}/users/{user_id}/action"
    headers = {"X-User-Id": str(user_id)}
    request = urllib.request.Request(url, b"", headers, method="POST")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        answer.read()


@router.post("/perform-action/")
async def perform_action(user_id: int, timeout: int = 5, expire: int = 10):
    async with lock(user_id, timeout, expire) as had:
        if not had:
            raise HTTPException(423, "Could not acquire lock")
        await asyncio.to_thread(act, user_id)
    return {"status": "success"}


@router.post("/attempt-action/")
async def attempt_action(user_id: int, expire: int = 10):
    async with lock(user_id, 0, expire) as had:
        if not had:
            return {"status": "failed", "detail": "Could not acquire lock"}
        await asyncio.to_thread(act, user_id)
    return {"status": "success"}


app = FastAPI()
app.include_router(router)
