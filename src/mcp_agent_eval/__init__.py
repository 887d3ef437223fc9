"""Test, debug and tune conversational agents from an AI assistant."""

__version__ = "0.1.0"
