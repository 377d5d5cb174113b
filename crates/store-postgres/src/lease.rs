//! A connection on loan from a pool that goes back only in a clean state.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool_postgres::{Object, Pool};

use crate::connect::connection;
use crate::tls::Tls;

/// How long telling the server to cancel a query may take.
const CANCEL_TIME_MAX: Duration = Duration::from_secs(5);

/// A connection that is closed instead of given back when it is dropped in the middle of something: an open
/// transaction, a COPY, a query whose rows were not read to the end.
#[derive(Debug)]
pub(crate) struct Lease {
    client: Option<Object>,
    busy: bool,
    /// Set for queries: the server is told to stop when nobody waits for the answer any more.
    cancels_by: Option<Tls>,
}

impl Lease {
    /// # Errors
    /// Why there is no connection.
    pub(crate) async fn of(pool: &Pool) -> Result<Self, String> {
        Ok(Self { client: Some(connection(pool).await?), busy: false, cancels_by: None })
    }

    /// As [`Lease::of`], for queries.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(crate) async fn cancelling(pool: &Pool, tls: &Tls) -> Result<Self, String> {
        let mut lease = Self::of(pool).await?;
        lease.cancels_by = Some(tls.clone());
        Ok(lease)
    }

    /// From here on the connection is in the middle of something.
    pub(crate) fn begin(&mut self) {
        self.busy = true;
    }

    /// It is clean again.
    pub(crate) fn done(&mut self) {
        self.busy = false;
    }
}

impl Deref for Lease {
    type Target = Object;

    #[expect(clippy::expect_used, reason = "only drop takes the client out")]
    fn deref(&self) -> &Object {
        self.client.as_ref().expect("a lease holds its client until it is dropped")
    }
}

impl DerefMut for Lease {
    #[expect(clippy::expect_used, reason = "only drop takes the client out")]
    fn deref_mut(&mut self) -> &mut Object {
        self.client.as_mut().expect("a lease holds its client until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(client) = self.client.take().filter(|_| self.busy) else { return };
        let client = Object::take(client);
        let (Some(tls), Ok(runtime)) = (self.cancels_by.take(), tokio::runtime::Handle::try_current()) else { return };
        let cancel = client.cancel_token();
        runtime.spawn(async move {
            // Held until then, so that the server can't give the process id to another session.
            let _ = tokio::time::timeout(CANCEL_TIME_MAX, cancel.cancel_query(tls)).await;
            drop(client);
        });
    }
}
