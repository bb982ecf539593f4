"""How the tasks of a pool get to its workers: one thread a worker, which takes a few tasks of one caller at a time.

A thread sends its worker a chunk of tasks and waits for one result after the other; each has its own wall clock.
Callers take turns, and a worker gives back what it has not begun of its chunk after some milliseconds, so nobody waits
for all of somebody else's tasks.
"""

from __future__ import annotations

import pickle
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence

from riskpo.errors import WorkerError
from riskpo.rewards.worker_job import MOST_TASKS, STATUSES, Job, Outcome
from riskpo.rewards.worker_process import Ending, Server, ServerConfig, ServerLostError, Worker
from riskpo.rewards.worker_wire import RETURNED, decode

# A task is given up after four deaths: the first and three that try again. SIGKILL mostly comes from outside, and may
# come often where memory is short: three of them weigh as much as one other death.
_DEATH_BLAME, _KILL_BLAME, _MOST_BLAME = 3, 1, 12
_STARTS = 5  # times that a server, or a fork, is tried in a row
_SEND_SECONDS = 30.0  # for a worker to take a chunk; it is idle and does nothing but read


class Engine:
    """The threads and processes of a pool; started by the first job, gone after `close`."""

    def __init__(self, config: ServerConfig, workers: int, recycle_after: int | None) -> None:
        self._config = config
        self._workers = workers
        self._recycle_after = recycle_after
        self._changed = threading.Condition()  # its lock guards the queue and the jobs
        self._queue: deque[Job] = deque()
        self._jobs: set[Job] = set()
        self._threads: list[threading.Thread] = []
        self._alive = 0
        self._closing = threading.Event()
        self._gone = threading.Event()
        self._server_lock = threading.Lock()  # one request to the server at a time
        self._server: Server | None = None

    def run(self, job: Job) -> list[Outcome]:
        """Waits for a job.

        Raises:
            WorkerError: no worker can be started, or the pool was closed.
        """
        try:
            with self._changed:
                if self._closing.is_set():
                    raise WorkerError("this pool of workers is closed. Make a new one.")
                self._start_threads()
                self._jobs.add(job)
                self._enqueue(job)
            if job.end is not None and not job.finished.wait(max(0.0, job.end - time.monotonic())):
                with self._changed:
                    job.expire()
            job.finished.wait()
        finally:
            with self._changed:
                self._jobs.discard(job)
                job.drop()
                for channel in () if job.finished.is_set() else job.serving:  # the caller was interrupted
                    channel.interrupt()
        if job.error is not None:
            raise WorkerError(job.error)
        return [outcome for outcome in job.outcomes if outcome is not None]

    def pids(self) -> list[int]:
        """The process ids of the workers that exist now."""
        server = self._server
        return [] if server is None else [pid for pid in list(server.workers) if pid > 0]

    def close(self) -> None:
        """Kills the workers; jobs under way raise. Returns when processes and threads are gone."""
        with self._changed:
            self._closing.set()
            self._fail("the pool of workers was closed while it worked.")
            self._changed.notify_all()
        server = self._server
        if server is not None:
            server.interrupt()
        # A collection of garbage may close a pool in any thread, its own included: that one ends by itself.
        if threading.current_thread() not in self._threads:
            for thread in self._threads:
                thread.join()

    # --- the queue; all under the lock ---

    def _start_threads(self) -> None:
        while len(self._threads) < self._workers:
            thread = threading.Thread(target=self._loop, name="riskpo-worker", daemon=True)
            self._alive += 1
            try:
                thread.start()
            except RuntimeError:
                self._alive -= 1
                raise
            self._threads.append(thread)

    def _enqueue(self, job: Job) -> None:
        if job.pending and not job.queued:
            job.queued = True
            self._queue.append(job)
            self._changed.notify(min(len(job.pending), self._workers))

    def _take(self) -> tuple[Job, list[int]] | None:
        with self._changed:
            while not self._closing.is_set():
                if not self._queue:
                    self._changed.wait()
                    continue
                job = self._queue.popleft()  # the caller who has waited longest
                job.queued = False
                job.expire()
                if job.pending:
                    share = -(-len(job.pending) // (2 * self._workers))
                    chunk = job.take(min(MOST_TASKS, share))
                    self._enqueue(job)
                    return job, chunk
        return None

    def _give_back(self, job: Job, indices: Sequence[int]) -> None:
        with self._changed:
            if job in self._jobs:
                job.pending.extendleft(reversed(indices))
                job.expire()
                self._enqueue(job)

    def _settle(self, job: Job, index: int, outcome: Outcome) -> None:
        with self._changed:
            job.settle(index, outcome)

    def _fail(self, error: str) -> None:
        with self._changed:
            for job in self._jobs:
                job.drop(error)
            self._queue.clear()

    # --- the threads ---

    def _loop(self) -> None:
        worker: Worker | None = None
        try:
            while (work := self._take()) is not None:
                try:
                    worker = self._serve(worker, *work)
                except WorkerError as error:
                    worker = None
                    self._fail(str(error))
                except Exception:  # noqa: BLE001 (whatever it is, callers hear of it instead of waiting for ever)
                    worker = None
                    self._fail(f"the pool of workers has failed. Its own traceback:\n{traceback.format_exc()}")
                    with self._server_lock:  # ends the worker that was in use
                        self._drop_server()
        finally:
            if worker is not None:
                worker.channel.close()
            self._leave()

    def _leave(self) -> None:
        """The server ends with the last thread, and no thread before: the kernel would kill what it started."""
        with self._changed:
            self._alive -= 1
            last = not self._alive
        if last:
            with self._server_lock:
                self._drop_server()
            self._gone.set()
        else:
            self._gone.wait()

    def _serve(self, worker: Worker | None, job: Job, chunk: list[int]) -> Worker | None:
        """Runs a chunk of tasks; the worker for the next, or None where it is gone."""
        if worker is not None and self._spent(worker, job, chunk):
            self._end(worker)
            worker = None
        if worker is None:
            worker = self._new_worker()
        with self._changed:
            job.serving.add(worker.channel)
        try:
            return self._exchange(worker, job, chunk)
        finally:
            with self._changed:
                job.serving.discard(worker.channel)

    def _exchange(self, worker: Worker, job: Job, chunk: list[int]) -> Worker | None:
        position = -1  # the worker has nothing yet
        try:
            worker.channel.send(pickle.dumps([job.payloads[index] for index in chunk]), _SEND_SECONDS)
            for position, index in enumerate(chunk):
                body = worker.channel.receive(job.seconds)
                if body == RETURNED:
                    job.chunk = position
                    self._give_back(job, chunk[position:])
                    return worker
                outcome = _read(body)
                worker.done += 1
                if outcome.status == "memory":
                    self._end(worker)
                    self._after_memory(job, index, outcome, fresh=worker.done == 1)
                    self._give_back(job, chunk[position + 1 :])
                    return None
                self._settle(job, index, outcome)
        except (EOFError, OSError, ValueError) as error:  # a TimeoutError is an OSError
            self._after_failure(worker, job, chunk, position, error)
            return None
        job.chunk = min(2 * job.chunk, MOST_TASKS)
        return worker

    def _spent(self, worker: Worker, job: Job, chunk: list[int]) -> bool:
        """Whether a worker has done enough, or too much for a task that needs a fresh one."""
        if self._recycle_after is not None and worker.done >= self._recycle_after:
            return True
        return worker.done > 0 and chunk[0] in job.starved

    def _after_memory(self, job: Job, index: int, outcome: Outcome, fresh: bool) -> None:
        if fresh or index in job.starved:
            self._settle(job, index, outcome)
        else:
            job.starved.add(index)
            self._give_back(job, [index])

    def _after_failure(self, worker: Worker, job: Job, chunk: list[int], position: int, error: Exception) -> None:
        """A worker that gave no result, or no readable one, is ended, and its tasks are settled or go back."""
        ending = self._end(worker)
        current, rest = chunk[max(position, 0)], chunk[max(position, 0) + 1 :]
        if isinstance(error, TimeoutError) and position >= 0:
            detail = f"no result within {job.seconds:g} s"
            self._settle(job, current, Outcome("timeout", detail=detail, seconds=job.seconds))
        else:
            reason = f"{ending.how} ({error})" if isinstance(error, (TimeoutError, ValueError)) else ending.how
            self._after_death(job, current, ending, reason)
        job.chunk = max(1, job.chunk // 2)
        self._give_back(job, rest)

    def _after_death(self, job: Job, index: int, ending: Ending, reason: str) -> None:
        cap = self._config.memory_mb
        full = cap is not None and ending.peak > 0.75 * cap * 2**20
        job.blame[index] += _KILL_BLAME if ending.killed and not full else _DEATH_BLAME
        if job.blame[index] < _MOST_BLAME:
            self._give_back(job, [index])
            return
        detail = f"workers died on it again and again, the last by {reason}, at {ending.peak / 2**20:.0f} MiB"
        self._settle(job, index, Outcome("memory" if full else "crash", detail=detail))

    # --- the processes ---

    def _new_worker(self) -> Worker:
        problem = ""
        with self._server_lock:
            for attempt in range(_STARTS):
                if attempt:
                    self._closing.wait(0.1 * 2**attempt)
                try:
                    if self._server is None:
                        self._server = Server(self._config)
                        self._refuse_when_closing()
                        self._server.load()
                    self._refuse_when_closing()
                    worker = self._server.fork()
                    self._refuse_when_closing()
                    return worker
                except ServerLostError:
                    problem = "their server ends again and again"
                    self._drop_server()
                except OSError as error:
                    problem = str(error)
                except WorkerError:
                    self._drop_server()
                    raise
        raise WorkerError(f"no worker for {self._config.function!r} can be started: {problem} ({_STARTS} attempts).")

    def _refuse_when_closing(self) -> None:
        if self._closing.is_set():
            raise WorkerError("the pool of workers was closed while it started.")

    def _end(self, worker: Worker) -> Ending:
        """Kills a worker, dead or alive; how it ended."""
        with self._server_lock:
            try:
                if worker.server is self._server:
                    return self._server.end(worker)
            except ServerLostError:
                self._drop_server()
            worker.channel.close()
            return Ending("the end of its server", killed=False, peak=0)

    def _drop_server(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            server.close()


def _read(body: bytes) -> Outcome:
    try:
        status, value, detail, seconds = decode(body)
    except Exception as error:
        raise ValueError(f"its result cannot be read: {type(error).__name__}: {error}") from error
    if status not in STATUSES:
        raise ValueError("its result is no outcome")
    return Outcome(status, value, detail, seconds)
