//! Notices on their way into the spool.

use sendas_envelope::{Body as Holds, Envelope, Notify, Recipient, Return, ReversePath};
use sendas_spool::{Claim, Origin, SpoolError, Staged, Submission};

use super::{Delivery, Ways, load};
use crate::dsn::{self, Action, Facts, Fate, Original};
use crate::limits::RETURNED_OCTETS_MAX;
use crate::log;
use crate::memo::Memo;

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
            let is_whole = action == Action::Failed && claim.envelope.ret == Some(Return::Full);
            let octets_max = if is_whole && claim.envelope.body != Holds::Binary {
                RETURNED_OCTETS_MAX
            } else {
                0
            };
            let mut body = self.spool.body(claim.id, now).await?;
            let (octets, has_all) = load::start(&mut body, octets_max).await?;
            let original = if has_all {
                Original::Whole(&octets)
            } else {
                Original::Header(&octets)
            };
            let (from, mailbox) = match ways.policy.postmaster() {
                Some(route) => (route.address.clone(), route.mailbox.clone()),
                None => (claim.mailbox.address().clone(), claim.mailbox.clone()),
            };
            let id = self.spool.next_id(now);
            let facts = Facts {
                id: id.to_string(),
                hostname: self.hostname.to_string(),
                from,
                to: to.clone(),
                now,
                arrived_at: claim.accepted_at,
                queue_id: claim.id.to_string(),
                message_id: claim.message_id.clone(),
                envelope_id: claim.envelope.envelope_id.clone(),
                service: service.clone(),
            };
            let text = dsn::compose(&facts, &own, original);
            let mut recipient = Recipient::from(to.clone());
            recipient.notify = Some(Notify::Never);
            let Ok(mut envelope) = Envelope::new(ReversePath::Null, vec![recipient]) else {
                continue;
            };
            envelope.body = Holds::EightBit;
            let mut submission = Submission::new(envelope, mailbox);
            submission.id = Some(id);
            submission.subject = format!("notice about {}", claim.id);
            submission.message_id = format!("<{id}@{}>", self.hostname);
            submission.origin = Origin {
                client: "sendas".to_owned(),
                protocol: "notice".to_owned(),
                ..Origin::default()
            };
            let staged = self.spool.stage_whole(&text).await?;
            log::notified(claim.id, id, action.as_str(), &to);
            notices.push((submission, staged));
        }
        Ok(notices)
    }
}
