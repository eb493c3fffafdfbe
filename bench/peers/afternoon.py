"""The afternoon script: asyncio, aiohttp, uvloop and psycopg; results are upserted 500 at a time.

No claim before a call, no record of attempts, nothing for a crash: what was paid since the last 500 is forgotten.
"""

import asyncio
import contextlib
import multiprocessing

import aiohttp
import psycopg
import uvloop
from job import RECORD, ROWS, TIMEOUT_S, Job, call_of, read_job, stamp
from limiters import permits
from redis_server import own_redis

RESULTS_AT_A_TIME = 500
TRIES = 4


async def pay(job: Job, worker: int) -> None:
    permit = permits(job)
    waiting: asyncio.Queue[tuple] = asyncio.Queue(2 * job.calls)
    results: list[tuple[int, str]] = []
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=job.calls)
    async with (
        await psycopg.AsyncConnection.connect(job.database, autocommit=True) as reading,
        await psycopg.AsyncConnection.connect(job.database, autocommit=True) as writing,
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
    ):

        async def call(n: int, member_id: str, amount: int, reason: str) -> None:
            headers, body = call_of(member_id, amount, reason)
            for left in reversed(range(TRIES)):
                await permit()
                stamp(job.stamps)
                try:
                    async with session.post(job.url, data=body, headers=headers) as answer:
                        said = await answer.json()
                        answer.raise_for_status()
                        results.append((n, said["transaction_id"]))
                        return
                except (aiohttp.ClientError, TimeoutError):
                    if not left:
                        raise
                    await asyncio.sleep(3)

        async def calls() -> None:
            while (row := await waiting.get()) is not None:
                await call(*row)

        async def record(at_least: int) -> None:
            while len(results) >= at_least:
                batch = results[:RESULTS_AT_A_TIME]
                del results[:RESULTS_AT_A_TIME]
                async with writing.transaction(), writing.cursor() as cursor:
                    await cursor.executemany(RECORD, batch)
                if not results:
                    return

        async def recorder() -> None:
            while not over.is_set():
                await record(RESULTS_AT_A_TIME)
                await asyncio.sleep(0.01)
            await record(1)

        over = asyncio.Event()
        recording = asyncio.create_task(recorder())
        callers = [asyncio.create_task(calls()) for _ in range(job.calls)]
        async with reading.transaction(), reading.cursor(name="rows") as cursor:
            cursor.itersize = 5_000
            await cursor.execute(ROWS, (job.workers, worker))
            async for row in cursor:
                await waiting.put(row)
        for _ in callers:
            await waiting.put(None)
        await asyncio.gather(*callers)
        over.set()
        await recording


def work(job: Job, worker: int) -> None:
    uvloop.run(pay(job, worker))


def main() -> int:
    job = read_job()
    with own_redis() if job.limiter == "redis" else contextlib.nullcontext():
        workers = [multiprocessing.Process(target=work, args=(job, n)) for n in range(job.workers)]
        for process in workers:
            process.start()
        for process in workers:
            process.join()
    return max(process.exitcode for process in workers)


if __name__ == "__main__":
    raise SystemExit(main())
