# SPDX-License-Identifier: Apache-2.0
"""The exchange's schema grows: a batch is named by its receiver among the receiver's own."""

import sqlalchemy as sa
from alembic import op

revision = "0009_batches_by_agency"
down_revision = "0008_open_data"


def upgrade() -> None:
    """Until now the receiver's name was the batch's own."""
    op.add_column("batch", sa.Column("receiver_id", sa.String(36), nullable=False, server_default=""))
    op.execute("UPDATE batch SET receiver_id = batch_id")
    op.create_index("batch_by_receiver_id", "batch", ["agency", "receiver_id"], unique=True)
