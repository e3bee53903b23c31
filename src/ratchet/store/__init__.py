"""Where things are kept: records (SQLite or PostgreSQL) and spans, scores, events (chDB or ClickHouse)."""
