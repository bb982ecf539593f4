"""`python -m riskpo.cli`, for launchers such as torchrun that start a module."""

import sys

from riskpo.cli.main import main

sys.exit(main())
