"""The original's `RedisClient`. One thing is repaired: it stored "1" and released on "locked"."""

import asyncio
import json
import os
import secrets
import time
from contextlib import asynccontextmanager

from redis.asyncio import ConnectionPool, Redis

RELEASE = """
if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end
return 0
"""


class RedisClient:
    async def connect(self):
        self.pool = ConnectionPool(port=int(os.environ["REDIS_PORT"]), max_connections=5000)
        self.redis = Redis(connection_pool=self.pool)
        self.tokens = {}

    async def close(self):
        await self.redis.aclose()
        await self.pool.disconnect()

    async def get(self, key):
        value = await self.redis.get(key)
        return None if value is None else json.loads(value)

    async def set(self, key, value, expire=3600):
        await self.redis.set(key, json.dumps(value), ex=expire)

    async def delete(self, key):
        await self.redis.delete(key)

    @asynccontextmanager
    async def lock(self, key, expire=10):
        if not await self.try_acquire_lock(key, expire):
            raise RuntimeError("Could not acquire lock")
        try:
            yield
        finally:
            await self.release_lock(key)

    async def acquire_lock_with_timeout(self, key, timeout, expire=10):
        deadline = time.monotonic() + timeout
        while not (had := await self.try_acquire_lock(key, expire)):
            if time.monotonic() >= deadline:
                break
            await asyncio.sleep(0.01)
        return had

    async def try_acquire_lock(self, key, expire=10):
        token = secrets.token_hex(16)
        had = await self.redis.set(key, token, nx=True, ex=expire)
        if had:
            self.tokens[key] = token
        return bool(had)

    async def release_lock(self, key):
        await self.redis.eval(RELEASE, 1, key, self.tokens.pop(key, ""))
