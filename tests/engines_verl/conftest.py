"""verl lives in an environment of its own: without it, its tests say so and are skipped."""

from __future__ import annotations

import importlib.util

import pytest

HAS_VERL = importlib.util.find_spec("verl") is not None
needs_verl = pytest.mark.skipif(not HAS_VERL, reason="verl is not installed here: make test-verl runs these tests")
