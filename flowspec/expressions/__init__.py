"""The expressions and templates of a spec: Python's expression syntax, compiled once to code that is safe and fast."""

from flowspec.expressions.errors import ExpressionError
from flowspec.expressions.expression import Expression, Fields
from flowspec.expressions.template import Template

__all__ = ["Expression", "ExpressionError", "Fields", "Template"]
