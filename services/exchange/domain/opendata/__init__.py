# SPDX-License-Identifier: Apache-2.0
"""Open data: what is opened (`dataset`), how it is made coarser (`steps`) until nobody stands out (`anonymity`), and what was published (`release`)."""
