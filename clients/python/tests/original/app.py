"""The FastAPI service that edgelatch replaces. Its action counts, in a file, who is in at once."""

import asyncio
import os
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Query
from redis_client import RedisClient

client = RedisClient()


@asynccontextmanager
async def lifespan(app):
    await client.connect()
    yield
    await client.close()


app = FastAPI(lifespan=lifespan)


async def act(user_id):
    # Fails if somebody else is in: both services share the folder.
    inside = os.path.join(os.environ["WORK"], str(user_id))
    os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
    await asyncio.sleep(0.003)
    os.remove(inside)


@app.post("/api/v1/users/perform-action/")
async def perform_action(user_id: int = Query(...), timeout: int = 5, expire: int = 10):
    key = f"user:{user_id}:lock"
    if not await client.acquire_lock_with_timeout(key, timeout, expire):
        raise HTTPException(status_code=423, detail="Could not acquire lock")
    try:
        await act(user_id)
        await client.set(f"user:{user_id}:last", {"status": "success"})
    finally:
        await client.release_lock(key)
    return {"status": "success"}


@app.post("/api/v1/users/attempt-action/")
async def attempt_action(user_id: int = Query(...), expire: int = 10):
    key = f"user:{user_id}:lock"
    if not await client.try_acquire_lock(key, expire):
        return {"status": "failed", "detail": "Could not acquire lock"}
    try:
        await act(user_id)
    finally:
        await client.release_lock(key)
    return {"status": "success"}


@app.get("/last")
async def last(user_id: int):
    return await client.get(f"user:{user_id}:last")
