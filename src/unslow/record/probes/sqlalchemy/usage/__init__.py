"""What the ORM fetched and the app never used, watched in a pass of requests.

Looked at: which statement loaded which attributes of which objects, and which of them were read by
anything but the ORM itself: the app, a response model, a template. An object whose `__dict__` was
taken, or that was pickled, counts as read as a whole, its relationships included.

Not seen: what is read after the request, of objects that the app keeps; what code in C takes from
an object past `__dict__`.
"""

from .summary import usages_of
from .watch import is_watching, start_watching

__all__ = ["is_watching", "start_watching", "usages_of"]
