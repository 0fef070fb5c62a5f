//! Notices on their way into the spool.

use std::collections::HashSet;
use std::sync::{MutexGuard, PoisonError};

use sendas_envelope::{Address, Mailbox};
use sendas_spool::{Claim, SpoolError, Staged, Submission};

use super::{Delivery, Ways, load};
use crate::dsn::{self, Action, Facts, Fate, Notice, Original};
use crate::log;
use crate::memo::Memo;
use crate::policy::Route;
use crate::schedule::PACE;

impl Delivery {
    /// Writes the notices that these fates call for; nobody is told who must not be.
    pub(super) async fn notices(
        &self,
        ways: &Ways,
        principal: Option<usize>,
        claim: &Claim,
        memo: &Memo,
        fates: Vec<Fate>,
    ) -> Result<Vec<(Submission, Staged)>, SpoolError> {
        let mut notices = Vec::new();
        let Some(to) = dsn::addressee(&claim.envelope.reverse_path, memo) else {
            log::nobody_told(claim.id, fates.len());
            return Ok(notices);
        };
        let service = principal
            .and_then(|at| ways.pools.get(at))
            .map_or_else(String::new, |pool| pool.connector().host().to_owned());
        let (from, mailbox) = self.notice_way(ways, claim, memo);
        for action in [Action::Failed, Action::Delayed, Action::Relayed] {
            let own: Vec<Fate> = fates
                .iter()
                .filter(|f| f.action == action)
                .cloned()
                .collect();
            if own.is_empty() {
                continue;
            }
            let now = self.clock.now().wall;
            let octets_max = dsn::returned_octets_max(action, &claim.envelope);
            let mut body = self.spool.body(claim.id, now).await?;
            let (octets, has_all) = load::start(&mut body, octets_max).await?;
            let original = if has_all {
                Original::Whole(&octets)
            } else {
                Original::Header(&octets)
            };
            let id = self.spool.next_id(now);
            let facts = Facts {
                id: id.to_string(),
                hostname: self.hostname.to_string(),
                from: from.clone(),
                to: to.clone(),
                now,
                arrived_at: claim.accepted_at,
                queue_id: claim.id.to_string(),
                message_id: claim.message_id.clone(),
                envelope_id: claim.envelope.envelope_id.clone(),
                service: service.clone(),
            };
            let Notice { submission, octets } =
                Notice::new(&facts, id, mailbox.clone(), &own, original);
            let staged = self.spool.stage_whole(&octets).await?;
            log::notified(claim.id, id, action.as_str(), &to);
            notices.push((submission, staged));
        }
        Ok(notices)
    }

    /// Who a notice is from, and the mailbox that sends it: the postmaster's where there is one,
    /// else the message's own. When that one cannot send, the client's owner tells itself, else
    /// any mailbox that was named in the settings and can, of the same principal first.
    fn notice_way(&self, ways: &Ways, claim: &Claim, memo: &Memo) -> (Address, Mailbox) {
        let own = (claim.mailbox.address().clone(), claim.mailbox.clone());
        let of_route = |route: Route| (route.address, route.mailbox);
        let first = ways.policy.postmaster().cloned().map(of_route);
        let owner = memo
            .owner
            .as_ref()
            .and_then(|owner| ways.policy.route(owner))
            .map(of_route);
        let near = ways.policy.principal_of(&claim.mailbox);
        let mut others = ways.policy.named_routes();
        others.sort_by_key(|route| Some(route.principal) != near);
        let found = first
            .iter()
            .cloned()
            .chain([own.clone()])
            .chain(owner)
            .chain(others.into_iter().map(of_route))
            .find(|(_, mailbox)| self.can_send(ways, mailbox));
        found.unwrap_or_else(|| {
            let last = first.unwrap_or(own);
            log::stranded(claim.id, &last.1);
            self.stranded_set().insert(last.1.clone());
            last
        })
    }

    /// Mailboxes that hold notices since nobody could send them, and still cannot.
    pub(crate) fn stranded(&self) -> usize {
        let ways = self.ways.borrow().clone();
        let mut stranded = self.stranded_set();
        stranded.retain(|mailbox| !self.can_send(&ways, mailbox));
        stranded.len()
    }

    /// Whether nothing but its pace keeps a mailbox from sending.
    fn can_send(&self, ways: &Ways, mailbox: &Mailbox) -> bool {
        let now = self.clock.now().wall;
        ways.way_of(mailbox).is_some_and(|(_, way)| {
            let waiting = self.schedule().waiting(mailbox, way, now);
            waiting.is_none_or(|waiting| waiting.cause.reason == PACE)
        })
    }

    fn stranded_set(&self) -> MutexGuard<'_, HashSet<Mailbox>> {
        // A panic elsewhere leaves nothing half-done behind this lock.
        self.stranded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
