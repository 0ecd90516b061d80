"""Which alarms were open when a sink had come as far as it has: what its other side should be keeping."""

from typing import Final

AS_FAR_AS: Final = """
row IN (
    SELECT max(row) FROM changes WHERE row <= (SELECT row FROM cursors WHERE sink = ?1) AND id IN (
        SELECT id FROM alarms WHERE state = 'active' AND rev > 0
        UNION SELECT id FROM changes WHERE row > (SELECT row FROM cursors WHERE sink = ?1)
    ) GROUP BY id
) AND json_extract(body, '$.state') = 'active' ORDER BY row DESC LIMIT ?2
"""
"""Of changes: the last one up to the cursor of sink 1 of each alarm that it left open, the latest 2 of them."""
# What is not open now and has no change to come was over already: so the table is not looked through whole.
