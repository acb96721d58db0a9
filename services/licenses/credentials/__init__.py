# SPDX-License-Identifier: Apache-2.0
"""The signed form of a license: SD-JWT VC (RFC 9901, draft-ietf-oauth-sd-jwt-vc), its signers and its trust."""
