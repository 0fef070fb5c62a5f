//! Causes on this machine: nothing has been sent.

use sendas_exchange::Fix;

use super::Cause;

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        id: "S-CONFIGURATION",
        title: "the configuration has errors",
        symptom: "Every command ends with exit code 2 and shows the line with a caret.",
        evidence: "The complaint names file, line and column.",
        why: "A setting that is not understood could send mail as the wrong principal, so nothing is tried.",
        fix: Fix::command("write what the complaint says", "sendas config check"),
    },
    Cause {
        id: "S-NOTHING-CONFIGURED",
        title: "no principal is configured",
        symptom: "Commands say that no principal is configured, and where they looked.",
        evidence: "No configuration file exists in the usual places, and `AZURE_CLIENT_ID` is not set.",
        why: "Without a principal there is nobody to send as.",
        fix: Fix::command(
            "write a configuration, or let the set-up write one",
            "sendas setup plan",
        ),
    },
    Cause {
        id: "S-MAILBOX-UNNAMED",
        title: "no mailbox is known to log in as",
        symptom: "`doctor` and `probe` ask for a mailbox.",
        evidence: "`mailboxes` of every principal holds patterns only, and no `--mailbox` was given.",
        why: "One AUTH chooses one mailbox; a pattern does not say which.",
        fix: Fix::command("name one", "sendas doctor --mailbox noreply@contoso.com"),
    },
    Cause {
        id: "S-MAILBOX-UNCOVERED",
        title: "no principal covers the mailbox",
        symptom: "A sender is refused before anything is sent.",
        evidence: "No entry of `mailboxes` fits the address.",
        why: "The map from senders to principals decides who sends as whom; an address outside of it has nobody.",
        fix: Fix::command(
            "add the address to `mailboxes` of the principal",
            "sendas config show",
        ),
    },
    Cause {
        id: "S-CREDENTIAL-UNREADABLE",
        title: "the credential cannot be loaded",
        symptom: "No token is asked for; the message names the file, the variable or the credential of systemd.",
        evidence: "The file is missing, empty, not readable for this user, readable for others, or not of the form that its kind has.",
        why: "What proves the principal has to be at hand, and for nobody else.",
        fix: Fix::command(
            "put the credential where the configuration says",
            "sendas config check",
        ),
    },
    Cause {
        id: "S-SECRET-ID",
        title: "the secret's id stands in the place of its value",
        symptom: "AADSTS7000215, invalid client secret.",
        evidence: "What is configured has the form of an id (8-4-4-4-12 hexadecimal digits); a value never has.",
        why: "The portal shows both, the value only once; afterwards the id is all that can be copied.",
        fix: Fix::command(
            "make a new secret and take its value",
            "sendas credential rotate",
        ),
    },
    Cause {
        id: "S-CERTIFICATE-ENDED",
        title: "the certificate's time is over or has not come",
        symptom: "AADSTS700027, or a token refused though nothing was changed.",
        evidence: "`notAfter` of the certificate lies in the past, or `notBefore` in the future.",
        why: "Entra accepts assertions of a certificate within its validity only.",
        fix: Fix::command(
            "put a new certificate in its place",
            "sendas credential rotate",
        ),
    },
    Cause {
        id: "S-FEDERATED-TOKEN-ENDED",
        title: "the federated token's time is over: whoever renews its file has stopped",
        symptom: "AADSTS700024 with a federated credential.",
        evidence: "`exp` of the token in the configured file lies in the past.",
        why: "The file is read anew for each request, and another issuer must put a fresh token there in time.",
        fix: Fix::command(
            "look at what renews the token file",
            "sendas credential list",
        ),
    },
    Cause {
        id: "S-CLOCK",
        title: "the clock of this machine is wrong",
        symptom: "AADSTS700024 with a certificate, or a bare `535 5.7.3` with a token whose time is over.",
        evidence: "The Date header of the token endpoint is more than five minutes from the local time.",
        why: "Assertions and tokens carry times; Entra and Exchange allow five minutes.",
        fix: Fix::command("let the machine keep time", "timedatectl set-ntp true"),
    },
];
