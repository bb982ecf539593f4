# A million brackets for the JSON parser.
# status: runtime_error
# ruff: noqa
import json

json.loads("[" * 10**6)
