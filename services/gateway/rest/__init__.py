# SPDX-License-Identifier: Apache-2.0
"""The public REST door: one file per resource, one mapping of refusals, `build_app` in `app.py`."""
