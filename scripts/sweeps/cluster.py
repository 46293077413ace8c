"""The jobs of a sweep on a Dask cluster; results are stored where the command runs."""

import asyncio
import logging
import pickle
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any

from ...hw.errors import NarrowgaugeError, ToolError
from ...hw.synth.measure import measure
from ...hw.tools import programs as tools
from ...hw.tools.sources import source_digest

__all__ = ["Cluster", "WorkerError", "call", "installed"]

SOURCES = "sources of narrowgauge"
_PATIENCE = 20  # seconds for a scheduler to answer


class WorkerError(NarrowgaugeError):
    """A worker that cannot run jobs: what it lacks, or has in another version."""


class Cluster(Executor):
    """An executor whose jobs run on the workers of a Dask cluster.

    Results are stored under the versions of the tools and sources *here*, so every worker must have
    the same; it is asked before anything is sent, and again with each job, as workers come and go.

    Parameters
    ----------
    address : str
        The scheduler's, such as ``tcp://10.0.0.5:8786``.
    versions : mapping of str to str
        Versions of the programs that the jobs need.

    Attributes
    ----------
    threads : int
        Jobs that all workers run at the same time.

    Raises
    ------
    NarrowgaugeError
        Where ``address`` is no address, no scheduler answers there, it has no workers, or Dask is
        not installed.
    WorkerError
        Where a worker cannot run the jobs.
    """

    def __init__(self, address: str, versions: Mapping[str, str]):
        try:
            from distributed import Client
        except ImportError as error:
            raise NarrowgaugeError(
                "--scheduler needs Dask: pip install 'narrowgauge[dask]'"
            ) from error
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        self._versions = {**versions, SOURCES: source_digest(measure)}
        try:
            _meet(address)
            self._client: Any = Client(address, timeout=_PATIENCE, set_as_default=False)
        except OSError as error:
            raise NarrowgaugeError(
                f"no Dask scheduler answers at {address!r} ({error}); start one with `dask "
                "scheduler`, and give its address with --scheduler"
            ) from error
        except (ValueError, TypeError, RuntimeError) as error:
            raise NarrowgaugeError(
                f"no Dask scheduler can be at {address!r} ({error}); --scheduler takes an address "
                "such as tcp://10.0.0.5:8786"
            ) from error
        try:
            self.threads = sum(self._client.nthreads().values())
            if not self.threads:
                raise NarrowgaugeError(
                    f"the scheduler at {address} has no workers; start some with "
                    f"`dask worker {address}`"
                )
            self._check_workers()
            self._executor = self._client.get_executor(pure=False)
            self._waiting: set[Future[Any]] = set()
        except BaseException:
            self._client.close()
            raise

    def _check_workers(self) -> None:
        found = self._client.run(installed, [*self._versions], on_error="return")
        for worker, own in found.items():
            if isinstance(own, Exception):
                raise WorkerError(f"worker {worker} cannot run narrowgauge: {own}")
            try:
                _compare(self._versions, own)
            except WorkerError as error:
                raise WorkerError(f"worker {worker}: {error}") from error

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run ``fn(*args, **kwargs)`` on a worker; all of it must be picklable."""
        payload = _packed((fn, args, kwargs))  # netlists are long, and compress well
        inner = self._executor.submit(call, payload, self._versions)
        outer: Future[Any] = Future()
        self._waiting.add(outer)

        def copy(done: Future[bytes]) -> None:
            self._waiting.discard(outer)
            if outer.done():
                return
            if done.cancelled():
                outer.set_exception(WorkerError("the cluster gave the job up"))
            elif error := done.exception():
                outer.set_exception(error)
            else:
                outer.set_result(_unpacked(done.result()))

        inner.add_done_callback(copy)
        return outer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster, which goes on without this client."""
        self._executor.shutdown(wait=wait and not cancel_futures)
        for future in list(self._waiting):
            if not future.done():
                future.set_exception(WorkerError("the cluster was left"))
        self._client.close()


def _meet(address: str) -> None:
    """Connect to the scheduler once: a client that could not would wait again when it is dropped.

    Raises
    ------
    OSError
        Where nothing answers.
    ValueError, TypeError, RuntimeError
        Where nothing can: for a malformed address, and ``tls://`` without certificates.
    """
    from distributed.comm.addressing import get_address_host_port
    from distributed.comm.core import connect
    from distributed.security import Security

    host, port = get_address_host_port(address)
    if not host.strip() or not 1 <= port <= 65535:
        raise ValueError("it has a host, and a port of 1 to 65535")

    async def meet() -> None:
        options = Security().get_connection_args("client")
        comm = await connect(address, timeout=_PATIENCE, **options)
        await comm.close()

    asyncio.run(meet())


def installed(names: Sequence[str]) -> dict[str, str]:
    """Return the versions of programs and sources on this machine, or why there is none."""
    found = {}
    for name in names:
        try:
            own = source_digest(measure) if name == SOURCES else tools.find(name).version
        except ToolError as error:
            own = str(error)
        found[name] = own
    return found


def call(payload: bytes, versions: Mapping[str, str]) -> bytes:
    """Run a packed call and return its packed result; it runs on a worker.

    Raises
    ------
    WorkerError
        Where something here has another version than ``versions`` says.
    """
    _compare(versions, installed([*versions]))
    function, arguments, options = _unpacked(payload)
    return _packed(function(*arguments, **options))


def _compare(wanted: Mapping[str, str], found: Mapping[str, str]) -> None:
    for name, version in wanted.items():
        if found[name] == version:
            continue
        if name == SOURCES:
            raise WorkerError("it has another version of narrowgauge than this machine")
        raise WorkerError(f"{name} is {version} here and, there: {found[name]}")


def _packed(value: Any) -> bytes:
    return zlib.compress(pickle.dumps(value), 1)


def _unpacked(packed: bytes) -> Any:
    return pickle.loads(zlib.decompress(packed))
