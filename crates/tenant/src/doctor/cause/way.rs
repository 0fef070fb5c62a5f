//! Causes on the way over the network, and one in Exchange that no reply names.

use sendas_exchange::Fix;

use super::Cause;

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        id: "S-NAME-UNRESOLVED",
        title: "the name of the service has no address on this machine",
        symptom: "The connection fails at once, or after the resolver's patience.",
        evidence: "A look-up of the name fails.",
        why: "The resolver is not reached, filters the name, or the name is misspelt in a cloud file.",
        fix: Fix::command(
            "ask the resolver",
            "getent ahosts login.microsoftonline.com",
        ),
    },
    Cause {
        id: "S-PROXY-REFUSED",
        title: "the proxy does not let the connection through",
        symptom: "No token; the answer to CONNECT is no 200.",
        evidence: "The proxy's status and its name.",
        why: "The proxy wants a login, or does not know the host as allowed.",
        fix: Fix::command(
            "allow the host at the proxy, or name it in NO_PROXY",
            "env | grep -i _proxy",
        ),
    },
    Cause {
        id: "S-ENTRA-UNREACHABLE",
        title: "the token endpoint cannot be reached",
        symptom: "No token; connecting fails or nobody answers.",
        evidence: "The name has addresses, and none of them takes a connection on TCP port 443.",
        why: "A firewall, a missing route, or a proxy that is needed and not set.",
        fix: Fix::command(
            "open TCP port 443 to the host, or set HTTPS_PROXY",
            "sendas token get --verbose",
        ),
    },
    Cause {
        id: "S-TRUST-ROOTS",
        title: "this machine has nothing to trust a certificate by",
        symptom: "No connection is tried.",
        evidence: "The system has no roots of trust, or a named CA file cannot be used.",
        why: "Small container images come without CA certificates.",
        fix: Fix::command(
            "install the system's CA certificates, or mend `network.ca`",
            "apt-get install ca-certificates",
        ),
    },
    Cause {
        id: "S-TLS-UNTRUSTED",
        title: "the certificate of the service is not trusted",
        symptom: "The TLS handshake fails; nothing secret was sent.",
        evidence: "The verifier names an unknown issuer, another name, or a time that does not fit.",
        why: "A firewall inspects TLS with a CA of its own, the clock is wrong, or a stranger answers.",
        fix: Fix::command(
            "if the inspecting CA is your own, name it in `network.ca`",
            "sendas probe --quit-after tls",
        ),
    },
    Cause {
        id: "S-STRANGER-ANSWERS",
        title: "somebody else answers in place of the service",
        symptom: "A redirect, a page, an unknown protocol, or words put in before TLS.",
        evidence: "The answer is not one that the service gives.",
        why: "A captive portal, a filtering proxy or a firewall that speaks for the service.",
        fix: Fix::command("see who answers", "sendas probe --quit-after ehlo"),
    },
    Cause {
        id: "S-SERVICE-UNREACHABLE",
        title: "the submission host cannot be reached",
        symptom: "The token comes, the SMTP connection does not.",
        evidence: "The name has addresses, and none of them takes a connection on the port.",
        why: "Providers and clouds block outgoing mail ports; SMTP does not go through an HTTP proxy.",
        fix: Fix::command(
            "open TCP port 587 to smtp.office365.com",
            "sendas probe --quit-after greeting",
        ),
    },
    Cause {
        id: "S-STARTTLS-MISSING",
        title: "STARTTLS is not offered",
        symptom: "The conversation ends before TLS; nothing secret was sent.",
        evidence: "The reply to EHLO has no line STARTTLS; Exchange Online's always has.",
        why: "A firewall takes the line out to read along.",
        fix: Fix::command(
            "take SMTP inspection off for this host",
            "sendas probe --quit-after ehlo",
        ),
    },
    Cause {
        id: "S-XOAUTH2-MISSING",
        title: "the host does not offer XOAUTH2",
        symptom: "The conversation ends before AUTH.",
        evidence: "The AUTH line inside TLS does not name XOAUTH2.",
        why: "The host is another one than Exchange Online's submission host, or an inspecting device changes the reply.",
        fix: Fix::command(
            "compare the host's name, and see its offer",
            "sendas probe --quit-after secure-ehlo",
        ),
    },
    Cause {
        id: "S-CONNECTION-LOST",
        title: "the connection broke",
        symptom: "The conversation ends in the middle.",
        evidence: "The stage at which it broke.",
        why: "A network device closes it, or the service restarts.",
        fix: Fix::command(
            "try again; if it breaks at the same stage, look at devices on the way",
            "sendas probe",
        ),
    },
    Cause {
        id: "S-ROLE-MISSING",
        title: "the principal holds no role Application SMTP.SendAsApp in Exchange",
        symptom: "A bare `535 5.7.3` on the way of application RBAC.",
        evidence: "Get-ManagementRoleAssignment lists no assignment of that role to the principal, or of another role only.",
        why: "Without the permission in the token, the role assignment is what lets the principal in.",
        fix: Fix::command(
            "assign the role, with a scope that holds the mailbox",
            "New-ManagementRoleAssignment -App {object} -Role 'Application SMTP.SendAsApp' -CustomResourceScope <scope>",
        ),
    },
];
