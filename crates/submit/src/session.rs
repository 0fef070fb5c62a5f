//! An authenticated session: messages in, outcomes out, as few round trips as the service lets.

use std::collections::VecDeque;
use std::sync::Arc;

use sendas_envelope::Envelope;
use sendas_smtp::Capabilities;
use sendas_smtp::client::{Action, Framing, Order, Stage, Transaction};
use sendas_smtp::data::DotWriter;

use crate::connector::HostMemory;
use crate::limits::{BODY_BLOCK_OCTETS, COPY_OCTETS_MAX, WINDOW_OCTETS, WINDOW_TRANSACTIONS};
use crate::link::{Link, LinkCause, LinkError};
use crate::message::Message;
use crate::outcome::{Attempt, Outcome};
use crate::stream::TlsDetails;
use crate::trace::TraceEvent;
use crate::verdict;

/// A session that may submit as one mailbox.
pub struct Session {
    link: Link,
    capabilities: Capabilities,
    tls: TlsDetails,
    memory: Arc<HostMemory>,
    /// The last transaction may still be open at the service.
    is_dirty: bool,
    is_lost: bool,
    messages: u32,
}

/// One message to submit.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'e> {
    /// Who to.
    pub envelope: &'e Envelope,
    /// What.
    pub message: &'e Message,
}

impl Session {
    pub(crate) const fn new(
        link: Link,
        capabilities: Capabilities,
        tls: TlsDetails,
        memory: Arc<HostMemory>,
    ) -> Self {
        Self {
            link,
            capabilities,
            tls,
            memory,
            is_dirty: false,
            is_lost: false,
            messages: 0,
        }
    }

    /// What the service offers.
    pub const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// What the handshake agreed on.
    pub const fn tls(&self) -> &TlsDetails {
        &self.tls
    }

    /// Messages submitted so far, accepted or not.
    pub const fn messages(&self) -> u32 {
        self.messages
    }

    /// Whether it can take another message, as far as can be told without asking.
    pub fn is_usable(&mut self) -> bool {
        !self.is_lost && !self.link.is_stale()
    }

    /// Submits one message. Not to be dropped half-way: the session is then of no further use
    /// and the outcome unknown.
    pub async fn send(&mut self, envelope: &Envelope, message: &Message) -> Attempt {
        let lost = Attempt::all(envelope, &verdict::of_silence());
        self.send_all(&[Submission { envelope, message }])
            .await
            .pop()
            .unwrap_or(lost)
    }

    /// Submits several messages, each before the replies to the one before it are in where the
    /// service offers PIPELINING and CHUNKING. One attempt for each, in order.
    pub async fn send_all(&mut self, submissions: &[Submission<'_>]) -> Vec<Attempt> {
        // Lost until it is done: dropped half-way, the next user would read this one's replies.
        let was_lost = std::mem::replace(&mut self.is_lost, true);
        let mut run = Run {
            session: self,
            submissions,
            attempts: vec![None; submissions.len()],
            under_way: VecDeque::new(),
            started: 0,
        };
        match run.run().await {
            Ok(()) => run.session.is_lost = was_lost,
            Err(error) => run.give_up(error),
        }
        debug_assert!(
            run.attempts.iter().all(Option::is_some),
            "every submission ends in an attempt"
        );
        run.attempts.into_iter().flatten().collect()
    }

    /// Ends the session.
    pub async fn quit(self) {
        if !self.is_lost {
            self.link.quit().await;
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("messages", &self.messages)
            .finish_non_exhaustive()
    }
}

/// Several submissions on their way through one session.
struct Run<'s, 'e> {
    session: &'s mut Session,
    submissions: &'s [Submission<'e>],
    attempts: Vec<Option<Attempt>>,
    under_way: VecDeque<UnderWay<'e>>,
    started: usize,
}

struct UnderWay<'e> {
    index: usize,
    transaction: Transaction<'e>,
    octets: u64,
}

/// Why the session ends before its submissions do.
enum Stop {
    /// The connection is gone, or must go.
    Link(LinkError),
    /// The service said `421`; everything behind it was not looked at.
    Closing(Outcome),
}

impl From<LinkError> for Stop {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl Run<'_, '_> {
    async fn run(&mut self) -> Result<(), Stop> {
        loop {
            while self.may_start() {
                self.start().await?;
            }
            if self.under_way.is_empty() {
                return Ok(());
            }
            self.take_reply().await?;
        }
    }

    /// Whether the next submission may leave now.
    fn may_start(&self) -> bool {
        let Some(next) = self.submissions.get(self.started) else {
            return false;
        };
        let Some(last) = self.under_way.back() else {
            return true;
        };
        let octets: u64 = self.under_way.iter().map(|one| one.octets).sum();
        last.transaction.is_eager()
            && last.transaction.is_written()
            && self.under_way.len() < WINDOW_TRANSACTIONS
            && octets + next.message.octets() <= WINDOW_OCTETS
    }

    async fn start(&mut self) -> Result<(), Stop> {
        let index = self.started;
        let Submission { envelope, message } = self.submissions[index];
        let clean = self.under_way.is_empty() && !self.session.is_dirty;
        let planned = Transaction::new(
            envelope,
            message.octets(),
            &self.session.capabilities,
            self.session.memory.allows_chunking(),
            if clean {
                Order::Clean
            } else {
                Order::AfterReset
            },
        );
        self.started += 1;
        match planned {
            Err(unsupported) => {
                let outcome = verdict::of_unsupported(unsupported);
                self.attempts[index] = Some(Attempt::all(envelope, &outcome));
            }
            Ok(transaction) => {
                self.session.messages += 1;
                let octets = message.octets();
                self.under_way.push_back(UnderWay {
                    index,
                    transaction,
                    octets,
                });
                let last = self.under_way.len() - 1;
                self.drive(last).await?;
            }
        }
        Ok(())
    }

    /// Takes one reply for the oldest transaction, and settles it when that was its last.
    async fn take_reply(&mut self) -> Result<(), Stop> {
        let oldest = self
            .under_way
            .front_mut()
            .expect("a reply is taken while something is under way");
        let stage = oldest.transaction.stage();
        let link = &mut self.session.link;
        link.send(stage).await?;
        let reply = link.reply(stage).await?;
        if reply.code() == 421 {
            oldest.transaction.closed(&reply);
            self.settle_oldest();
            return Err(Stop::Closing(verdict::of_reply(stage, &reply)));
        }
        if !oldest.transaction.reply(reply.clone()) {
            return Err(LinkError {
                stage,
                cause: LinkCause::Unasked(reply),
            }
            .into());
        }
        if self.drive(0).await? == Action::Done && !self.settle_oldest() {
            return Err(LinkError {
                stage: Stage::Body,
                cause: LinkCause::Closed,
            }
            .into());
        }
        Ok(())
    }

    /// Writes whatever the transaction at `place` may write now.
    async fn drive(&mut self, place: usize) -> Result<Action, Stop> {
        let UnderWay {
            index, transaction, ..
        } = &mut self.under_way[place];
        let link = &mut self.session.link;
        loop {
            let from = link.out.len();
            let action = transaction.next(&mut link.out);
            link.show(transaction.stage(), from);
            if action != Action::SendBody {
                return Ok(action);
            }
            let message = self.submissions[*index].message;
            if send_body(link, transaction, message).await? {
                transaction.body_sent();
            }
        }
    }

    /// Turns the oldest transaction's replies into an attempt; false when the session must end.
    fn settle_oldest(&mut self) -> bool {
        let Some(UnderWay {
            index, transaction, ..
        }) = self.under_way.pop_front()
        else {
            return true;
        };
        let (is_dirty, is_cut_short) = (transaction.is_dirty(), transaction.is_cut_short());
        let report = transaction.into_report();
        let is_chunking_refused = report.is_chunking_refused();
        self.session.is_dirty = is_dirty;
        self.attempts[index] = Some(Attempt {
            outcomes: verdict::of_report(&report, None),
            framing: report.framing,
            is_chunking_refused,
        });
        if is_chunking_refused {
            self.session.memory.chunking_refused();
        }
        !(is_chunking_refused || is_cut_short)
    }

    /// Ends what is under way or has not begun.
    fn give_up(&mut self, stop: Stop) {
        self.session.is_lost = true;
        let (lost, behind) = match stop {
            Stop::Link(error) => {
                let error = Arc::new(error);
                (Some(Arc::clone(&error)), verdict::of_unsent(&error))
            }
            // Commands are read in order: what stands behind a `421` was never looked at.
            Stop::Closing(outcome) => (None, outcome),
        };
        for UnderWay {
            index, transaction, ..
        } in self.under_way.drain(..)
        {
            let report = transaction.into_report();
            let outcomes = match &lost {
                Some(error) => verdict::of_report(&report, Some(error)),
                None => vec![behind.clone(); report.recipients.len()],
            };
            let framing = report.framing;
            self.attempts[index] = Some(Attempt {
                outcomes,
                framing,
                is_chunking_refused: false,
            });
        }
        for (submission, attempt) in self.submissions.iter().zip(&mut self.attempts) {
            attempt.get_or_insert_with(|| Attempt::all(submission.envelope, &behind));
        }
    }
}

/// Sends a body in its framing; false when the service refused it before it was whole.
async fn send_body(
    link: &mut Link,
    transaction: &mut Transaction<'_>,
    message: &Message,
) -> Result<bool, Stop> {
    let mut dots = (transaction.framing() == Framing::Data).then(DotWriter::default);
    let octets = message.octets();
    if let Some(body) = message
        .as_memory()
        .filter(|body| body.len() <= COPY_OCTETS_MAX)
    {
        match dots {
            None => link.out.extend_from_slice(body),
            Some(mut dots) => {
                dots.write(body, &mut link.out);
                dots.finish(&mut link.out);
            }
        }
        if link.out.len() >= BODY_BLOCK_OCTETS {
            link.send(Stage::Body).await?;
        }
        link.trace.observe(TraceEvent::SentBody { octets });
        return Ok(true);
    }
    let mut blocks = message.open();
    let unreadable = |error| LinkError {
        stage: Stage::Body,
        cause: LinkCause::Message(error),
    };
    while let Some(block) = blocks.next().await.map_err(unreadable)? {
        match &mut dots {
            None => link.send_block(&block).await?,
            Some(dots) => {
                dots.write(&block, &mut link.out);
                link.send(Stage::Body).await?;
            }
        }
        // Replies to an envelope sent on trust belong to it, unless older ones are still due;
        // then there are none for this body yet.
        if transaction.is_eager() {
            continue;
        }
        if let Some(reply) = link.try_reply(Stage::Body)? {
            transaction.refused_early(reply);
            return Ok(false);
        }
    }
    if let Some(dots) = dots {
        dots.finish(&mut link.out);
    }
    link.trace.observe(TraceEvent::SentBody { octets });
    Ok(true)
}
