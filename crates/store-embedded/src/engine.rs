//! Interface for the read side (being written):
//! `Engine::snapshot(&self, project: &str) -> Snapshot` (empty for an unknown project),
//! `engine.ledger() -> Vec<LedgerRow>`, `engine.status() -> StoreStatus`, `engine.seen_key(..)`.
//! `EmbeddedStore { engine: Arc<Engine>, … }` in store.rs (write side) calls, in `crate::query`, functions of the shape
//! `search(snapshot: Snapshot, search: Search) -> Result<Page, StoreError>` (the read side's own choice of async or not).
