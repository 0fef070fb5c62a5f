//! The one thread on which everything asynchronous runs.

use std::future::Future;

use crate::report::Failure;

/// Runs a future to its end.
///
/// # Errors
/// When the system gives no event queue.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> Result<T, Box<Failure>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Box::new(Failure::machine("nothing was done", &error)))?;
    Ok(runtime.block_on(future))
}
