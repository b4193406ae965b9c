"""Amounts in the steps of cases become texts, as they are everywhere else.

The release before runs on it: it shows a step as it stands, and says at most once more what a case knows.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_WRITE = """
UPDATE case_entries e SET details = jsonb_set(e.details, '{amount_at_risk}', to_jsonb(
    round(a.amount, greatest(a.digits, scale(trim_scale(a.amount))))::text))
FROM (
    SELECT n.id, (n.details ->> 'amount_at_risk')::numeric AS amount,
           coalesce((SELECT v.digits FROM reversals v WHERE v.id = c.subject),
                    (SELECT o.digits FROM orders o WHERE o.id = c.order_id), 0)::int AS digits
    FROM case_entries n JOIN cases c ON c.id = n.case_id
    WHERE jsonb_typeof(n.details -> 'amount_at_risk') = 'number'
) a WHERE a.id = e.id
"""


def upgrade() -> None:
    op.execute(_WRITE)


def downgrade() -> None:
    """Leave them: the release before shows them too."""
