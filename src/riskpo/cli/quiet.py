"""The warnings of the libraries underneath, of which a user of the command line can do nothing about most."""

from __future__ import annotations


def quieten() -> None:
    """Silences them; --verbose leaves them alone."""
    import logging as logging_of_python
    import os
    import warnings

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module="torch|accelerate|transformers|trl")
    import datasets
    from transformers.utils import logging

    logging_of_python.getLogger("riskpo.engines.trl.hints").setLevel(logging_of_python.ERROR)
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
