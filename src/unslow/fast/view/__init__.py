"""The View: an answer worked out from its response model and the mapped classes."""

from .view import View as View
