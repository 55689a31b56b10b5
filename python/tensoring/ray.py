# SPDX-License-Identifier: MIT
"""One arena for each node of a Ray cluster, and objects handed over inside a node.

    arena = tensoring.ray.arena(slots=[(64 << 10, 64), (4 << 20, 16)])
    arena.queue("jobs").send(batch)      # to another actor or task of this node

    return batch                         # a view of a slot: by reference on this node
    return tensoring.ray.share(obj)      # the same for any object

Ray places, restarts and scales the actors; the arena carries what those of one node
exchange."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

try:
    import ray  # noqa: F401
except ImportError as _error:
    raise ImportError(
        f"tensoring.ray needs the package ray: pip install 'tensoring[ray]' ({_error})"
    ) from _error

from tensoring._arena.arena import Arena
from tensoring._errors import Full, TooLargeError
from tensoring._options import whole
from tensoring._serial import packed
from tensoring._servers import ray_node, ray_objects, ray_views

__all__ = ["Shared", "arena", "by_reference", "share"]


def arena(slots: Iterable[tuple[int, int]] | None = None, **options: Any) -> Arena:
    """The arena of the node that this process belongs to: the first process that asks
    creates it, the others attach. It goes when the node's raylet has ended, however that
    was; a process of its own waits for that.

    From then on arrays of at least 1 MiB that look into slots travel by reference when
    Ray pickles them in this process: by_reference() says how.

    slots, options: as of Arena(), without a name. Those of later callers change nothing.
    RuntimeError: ray.init() was not called. NotFoundError: the raylet is in another pid
    namespace, so that nobody could tell when it ends."""
    found = ray_node.open_node(slots, **options)
    ray_views.begin()
    return found


def by_reference(nbytes: int | None = ray_views.LEAST) -> None:
    """Choose which arrays this process hands over by reference: those that look into a
    slot of an arena and have at least `nbytes` bytes; None: none. arena() chooses 1 MiB.

    Such an array becomes a read-only view for readers of this node, and a copy, which Ray
    has carried, for those of others. What came from another process as such a view is
    handed on as it is. What came from a queue, a service, a board or a broadcast is first
    copied into a slot of its own, as Ray would copy it. Where there is no free slot Ray
    carries the array. Arrays that look into no slot are pickled as ever."""
    if nbytes is not None:
        whole("nbytes", nbytes, 1, 1 << 62)
    ray_views.hand_over(nbytes)


def _same(obj: Any) -> Any:
    return obj


def _arrive(where: ray_objects.Where, pickle: bool, token: Any) -> Any:
    """What a Shared becomes where it is unpickled."""
    ray_views.begin()
    return packed.unpack(ray_objects.bytes_of(where, token), pickle)


class Shared:
    """An object that travels by reference inside its node; made by share(). It holds its
    slot until Ray has no reference to it, or to an object that holds it, any more."""

    def __init__(self, obj: Any, pickle: bool, timeout: float | None) -> None:
        self._obj = obj
        self._pickle = pickle
        self._given = self._give(timeout)

    def _give(self, timeout: float | None) -> tuple[ray_objects.Where, Any] | None:
        """Where it is, and the token; None: Ray's object store has to carry it."""
        laid = packed.lay_out(self._obj, self._pickle)
        cells = None
        try:
            cells = ray_objects.cells_of(ray_node.node_id())
            assert cells is not None
            message = ray_objects.loan(cells, laid.nbytes, timeout)
            packed.write(laid, message.array(0))
            return ray_objects.give(cells, message, timeout)
        except (Full, TooLargeError):
            return None
        except ValueError:
            if cells is not None and not cells.arena.closed:
                raise
            return None  # another thread has closed the arena

    @property
    def by_reference(self) -> bool:
        """Whether it lies in the arena; False: Ray's object store carries it."""
        return self._given is not None

    def __reduce__(self) -> Any:
        if self._given is None:
            return (_same, (self._obj,))
        where, token = self._given
        return (_arrive, (where, self._pickle, token))


def share(obj: Any, *, pickle: bool = False, timeout: float | None = 0) -> Shared:
    """Wrap an object for the way through Ray: return share(x) from a method or a task,
    pass it to one, or ray.put() it. Where it arrives it is the object itself: on this
    node it looks into the slot, read-only; on another node it is a copy, which Ray's
    object store has carried. The arena holds one copy until Ray has dropped the last
    reference, and no view that a reader got from it is left.

    Where the arena has no free slot within `timeout` seconds, or none that is large
    enough, Ray's object store carries the object as ever. It stays if this process ends:
    an actor of the node, tensoring.NODE, counts the references; the first call starts it,
    and waits for it. If that actor is killed, readers still find the object until another
    process needs the slot; NotFoundError from then on. Views that exist stay.

    pickle: also take objects that no serializer knows. UnsupportedError without."""
    return Shared(obj, pickle, timeout)
