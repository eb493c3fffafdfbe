"""Limiters that people take from the shelf, behind one question: `await permit()` returns when a call may leave.

aiolimiter and ratelimit know one process only: each gets its part of the limit. The bucket in Redis is one for all.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable

from aiolimiter import AsyncLimiter
from job import Job
from ratelimit import RateLimitException, limits
from redis import asyncio as redis

# A token bucket as it is commonly written: refilled by time, room for a second of tokens; empty, it gives the wait.
BUCKET = """
local now = redis.call('TIME'); now = tonumber(now[1]) + tonumber(now[2]) / 1e6
local rate = tonumber(ARGV[1])
local had = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(had[1]) or rate
tokens = math.min(rate, tokens + (now - (tonumber(had[2]) or now)) * rate)
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = (1 - tokens) / rate end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', tostring(now))
return tostring(wait)
"""

Permit = Callable[[], Awaitable[None]]


def permits(job: Job) -> Permit:
    """The limiter that the job names; without limit, every call may leave."""
    if not job.tps:
        return _always
    known = {"aiolimiter": _aiolimiter, "aiolimiter-one": _one_at_a_time, "ratelimit": _ratelimit, "redis": _redis}
    return known[job.limiter](job)


async def _always() -> None:
    return


def _aiolimiter(job: Job) -> Permit:
    return AsyncLimiter(job.tps_of_a_worker, 1).acquire


def _one_at_a_time(job: Job) -> Permit:
    """Who knows that aiolimiter begins with a second's calls at once takes a bucket that has room for one."""
    return AsyncLimiter(1, 1 / job.tps_of_a_worker).acquire


def _ratelimit(job: Job) -> Permit:
    @limits(calls=int(job.tps_of_a_worker), period=1)
    def count() -> None:
        return

    async def permit() -> None:
        while True:
            try:
                return count()
            except RateLimitException as error:
                await asyncio.sleep(error.period_remaining)

    return permit


def _redis(job: Job) -> Permit:
    bucket = redis.from_url(os.environ["BENCH_REDIS"]).register_script(BUCKET)

    async def permit() -> None:
        while wait := float(await bucket(keys=["money"], args=[job.tps])):
            await asyncio.sleep(wait)

    return permit
