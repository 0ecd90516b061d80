"""The journal of alarms: `store` reads and writes it, `schema` says how it lies on disk, `outbox` what leaves."""
