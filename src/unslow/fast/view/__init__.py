"""The View: an answer worked out from its response model and the mapped classes."""

from .filters import Filter as Filter
from .view import View as View
