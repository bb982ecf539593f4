"""Accelerate's launcher files for `riskpo train --launch NAME`, packaged; `riskpo.runs.launching` starts them."""
