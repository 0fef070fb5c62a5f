//! A change on its way to the writer, with somebody who waits for its result.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::accept::{Lie, Placed};
use crate::error::SpoolError;
use crate::stage::Staged;
use crate::work::{JobError, JobResult, Place, Work};

/// What the writer needs to know of a change.
pub(crate) trait Job: Send {
    /// The bodies that become durable with the change.
    fn bodies(&self) -> &[Staged];
    /// Whether nobody waits for the result and the change should not happen then.
    fn is_abandoned(&self) -> bool;
    /// Changes the index; an error takes the whole batch back.
    fn run(&mut self, work: &mut Work<'_>, placed: Vec<Placed>) -> rusqlite::Result<()>;
    /// Tells the result once the batch is durable, or why it is not.
    fn reply(self: Box<Self>, verdict: Result<(), SpoolError>);
}

/// What a change does inside the transaction.
type Run<T> = Box<dyn FnOnce(&mut Work<'_>, Vec<Placed>) -> JobResult<T> + Send>;

/// A change with a typed result.
pub(crate) struct Task<T> {
    bodies: Vec<Staged>,
    run: Option<Run<T>>,
    value: Option<Result<T, SpoolError>>,
    reply: oneshot::Sender<Result<T, SpoolError>>,
}

impl<T: Send + 'static> Task<T> {
    pub(crate) fn boxed(
        bodies: Vec<Staged>,
        run: impl FnOnce(&mut Work<'_>, Vec<Placed>) -> JobResult<T> + Send + 'static,
    ) -> (Box<dyn Job>, oneshot::Receiver<Result<T, SpoolError>>) {
        let (reply, result) = oneshot::channel();
        let task = Self {
            bodies,
            run: Some(Box::new(run)),
            value: None,
            reply,
        };
        (Box::new(task), result)
    }
}

impl<T: Send> Job for Task<T> {
    fn bodies(&self) -> &[Staged] {
        &self.bodies
    }

    fn is_abandoned(&self) -> bool {
        // A submission whose client is gone would only be delivered twice; any other change is
        // wanted whether or not somebody looks.
        !self.bodies.is_empty() && self.reply.is_closed()
    }

    fn run(&mut self, work: &mut Work<'_>, placed: Vec<Placed>) -> rusqlite::Result<()> {
        let run = self.run.take().expect("a job runs once");
        match run(work, placed) {
            Ok(value) => self.value = Some(Ok(value)),
            Err(JobError::Say(error)) => self.value = Some(Err(error)),
            Err(JobError::Abort(error)) => return Err(error),
        }
        Ok(())
    }

    fn reply(self: Box<Self>, verdict: Result<(), SpoolError>) {
        let committed = verdict.is_ok();
        let unknown = matches!(verdict, Err(SpoolError::Failed(_)));
        if !committed {
            for body in &self.bodies {
                // When the commit's fate is unknown the next start decides by the index.
                body.kept().store(unknown, Ordering::Relaxed);
            }
        }
        let value = match verdict {
            Ok(()) => self.value.unwrap_or(Err(SpoolError::Closed)),
            Err(error) => Err(error),
        };
        // Nobody listens any more: the change stands all the same.
        drop(self.reply.send(value));
    }
}

/// The body as the transaction sees it; `place` for one in the shared segment.
pub(crate) fn placed(body: &Staged, place: Option<Place>) -> Placed {
    let lie = match (place, body.file()) {
        (Some(place), _) => Lie::Shared(place),
        (None, name) => Lie::Own {
            name: name.expect("a body is in memory or in a file").to_owned(),
            kept: Arc::clone(body.kept()),
        },
    };
    Placed {
        octets: i64::try_from(body.octets()).expect("a body is far smaller"),
        digest: *body.digest(),
        lie,
    }
}
