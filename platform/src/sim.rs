//! A kernel in ordinary memory, for tests: it refuses on demand and keeps a ledger.
