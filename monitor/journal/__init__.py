"""The journal of alarms: `store` writes it, `reader` only reads it, `schema` says how it lies, `outbox` what leaves."""
