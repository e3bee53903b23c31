"""The data plane: serves, protects and records every call. No database is touched while a request is served."""
