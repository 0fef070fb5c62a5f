//! Causes in Entra ID: the token request was refused, or what it gave cannot be used.

use sendas_exchange::Fix;

use super::Cause;

pub(super) const CAUSES: &[Cause] = &[
    Cause {
        id: "S-TENANT-UNKNOWN",
        title: "the tenant does not exist, or is misspelt",
        symptom: "AADSTS90002 or AADSTS900023.",
        evidence: "The OpenID metadata of the tenant do not exist either.",
        why: "The tenant is part of the address of the token endpoint: an id, or a domain that was verified there.",
        fix: Fix::command("write the tenant's id", "sendas config show"),
    },
    Cause {
        id: "S-TENANT-OTHER-CLOUD",
        title: "the tenant lives in another cloud",
        symptom: "AADSTS900382, AADSTS90038 or AADSTS900432.",
        evidence: "Entra says which cloud the tenant belongs to.",
        why: "National clouds have their own Entra, Exchange and names.",
        fix: Fix::command(
            "set `cloud` of the principal: gcc-high, dod or china",
            "sendas config schema",
        ),
    },
    Cause {
        id: "S-TENANT-COMMON",
        title: "the tenant is a placeholder such as `common`",
        symptom: "AADSTS50194 or AADSTS9001023.",
        evidence: "The tenant in the configuration is `common`, `organizations` or `consumers`.",
        why: "A principal belongs to one tenant; the placeholders serve people who sign in.",
        fix: Fix::command("write the tenant's id or domain", "sendas config show"),
    },
    Cause {
        id: "S-APPLICATION-UNKNOWN",
        title: "no application has this client id in the tenant",
        symptom: "AADSTS700016, or AADSTS700038 for an id that is none.",
        evidence: "Microsoft Graph lists no application with the client id.",
        why: "The id is misspelt, an object id was taken for it, the tenant is another one, or the application was deleted.",
        fix: Fix::command(
            "copy \u{201c}Application (client) ID\u{201d} of the app registration",
            "sendas setup plan",
        ),
    },
    Cause {
        id: "S-ENTERPRISE-APPLICATION-MISSING",
        title: "the application has no enterprise application in the tenant",
        symptom: "AADSTS7000229.",
        evidence: "Microsoft Graph lists an application, and no service principal of it.",
        why: "An app registration is a blueprint; what logs in is its service principal in the tenant.",
        fix: Fix::command(
            "make it, by consent or by the set-up",
            "az ad sp create --id {principal}",
        ),
    },
    Cause {
        id: "S-APPLICATION-DISABLED",
        title: "sign-in is switched off for the enterprise application",
        symptom: "AADSTS7000112.",
        evidence: "`accountEnabled` of the service principal is false.",
        why: "Somebody, or Microsoft, switched the application off.",
        fix: Fix::command(
            "find out why, then switch it on",
            "az ad sp update --id {principal} --set accountEnabled=true",
        ),
    },
    Cause {
        id: "S-APPLICATION-PUBLIC",
        title: "the application is registered as a public client",
        symptom: "AADSTS700025.",
        evidence: "`isFallbackPublicClient` of the application is true.",
        why: "A public client must not send a secret or an assertion, and a service has nothing else.",
        fix: Fix::command(
            "switch \u{201c}Allow public client flows\u{201d} off",
            "az ad app update --id {principal} --set isFallbackPublicClient=false",
        ),
    },
    Cause {
        id: "S-SECRET-WRONG",
        title: "the configured secret is none of the application's",
        symptom: "AADSTS7000215.",
        evidence: "No secret of the application begins with the configured one's first characters.",
        why: "It was mistyped, cut, removed, belongs to another application, or was made seconds ago.",
        fix: Fix::command(
            "make a new secret and put its value in place",
            "sendas credential rotate",
        ),
    },
    Cause {
        id: "S-SECRET-ENDED",
        title: "the secret has expired",
        symptom: "AADSTS7000222, from one day to the next.",
        evidence: "`endDateTime` of the secret has passed.",
        why: "A secret lives two years at most, and nobody is told when it ends.",
        fix: Fix::command("make a new one", "sendas credential rotate"),
    },
    Cause {
        id: "S-CERTIFICATE-UNKNOWN",
        title: "the certificate is not registered with the application",
        symptom: "AADSTS700027.",
        evidence: "The thumbprint of the configured certificate is not among the application's.",
        why: "Another certificate was uploaded, it was removed, its file was exchanged, or it was uploaded minutes ago.",
        fix: Fix::command(
            "upload the certificate of the key in use",
            "sendas credential list",
        ),
    },
    Cause {
        id: "S-FEDERATION-MISMATCH",
        title: "the federated credential does not fit the presented token",
        symptom: "AADSTS700211, AADSTS700212, AADSTS700213 or AADSTS7002138.",
        evidence: "Entra quotes the issuer, audience or subject it was shown.",
        why: "Issuer, subject and audience are compared octet by octet, capitals included.",
        fix: Fix::command(
            "compare both",
            "az ad app federated-credential list --id {principal}",
        ),
    },
    Cause {
        id: "S-CREDENTIAL-LOST",
        title: "the token request lost a part on its way",
        symptom: "AADSTS7000218, AADSTS900144 or AADSTS9002313.",
        evidence: "Entra misses a parameter that was sent.",
        why: "A proxy that rewrites requests stands in between.",
        fix: Fix::command("go past the proxy", "sendas token get --verbose"),
    },
    Cause {
        id: "S-RESOURCE-UNKNOWN",
        title: "Exchange Online does not exist in the tenant",
        symptom: "AADSTS500011 or AADSTS650052.",
        evidence: "Microsoft Graph lists no service principal of Office 365 Exchange Online.",
        why: "The tenant has no subscription with Exchange, or the cloud file names another resource.",
        fix: Fix::command(
            "compare `resource` of the cloud, and the tenant's subscriptions",
            "sendas config show",
        ),
    },
    Cause {
        id: "S-ASSIGNMENT-REQUIRED",
        title: "Exchange Online is set to serve assigned applications only",
        symptom: "AADSTS501051.",
        evidence: "`appRoleAssignmentRequired` of Exchange's enterprise application is true, and this one has no permission of it.",
        why: "Somebody switched \u{201c}Assignment required\u{201d} on for Office 365 Exchange Online.",
        fix: Fix::command(
            "switch it off, or grant a permission",
            "az ad sp update --id 00000002-0000-0ff1-ce00-000000000000 --set appRoleAssignmentRequired=false",
        ),
    },
    Cause {
        id: "S-SCOPE",
        title: "the token was asked for a resource that cannot be named so",
        symptom: "AADSTS70011, AADSTS1002012 or AADSTS700022.",
        evidence: "Entra quotes the scope.",
        why: "The scope is one resource and `/.default`; a cloud file with another resource makes another one.",
        fix: Fix::command("correct `resource` in the cloud file", "sendas config show"),
    },
    Cause {
        id: "S-WORKLOAD-POLICY",
        title: "a Conditional Access policy for workload identities blocks the principal",
        symptom: "AADSTS53003.",
        evidence: "The sign-in logs of service principals name the policy.",
        why: "Such a policy allows the principal from named networks only, or not at all.",
        fix: Fix::command(
            "except the principal, or allow this machine's address",
            "az ad sp show --id {principal}",
        ),
    },
    Cause {
        id: "S-CONSENT-USER",
        title: "the consent of a user is asked for, where an application asks for itself",
        symptom: "AADSTS65001 or AADSTS65002.",
        evidence: "The client id belongs to Microsoft, or the grant was one for people.",
        why: "An application of one's own is needed to send without a user.",
        fix: Fix::command("set up an application of your own", "sendas setup plan"),
    },
    Cause {
        id: "S-ENTRA-NOT-YET",
        title: "the last change in Entra is not known to its token servers yet",
        symptom: "The refusal of a moment ago goes away by itself.",
        evidence: "The credential, object or grant was made a short while ago, and Microsoft Graph lists it.",
        why: "Entra's servers learn of a change one after the other: a secret takes seconds, a certificate minutes, a grant up to two hours.",
        fix: Fix::command("wait, then ask again", "sendas doctor"),
    },
    Cause {
        id: "S-ENTRA-BUSY",
        title: "Entra is busy, or was asked too often",
        symptom: "HTTP 429 or 5xx, AADSTS90055 or AADSTS50196.",
        evidence: "The answer says when to ask again.",
        why: "Somebody asks for a new token for each message, or the service has trouble of its own.",
        fix: Fix::command("wait as long as it says", "sendas token get"),
    },
    Cause {
        id: "S-ENTRA-REFUSED",
        title: "Entra gave no token",
        symptom: "An AADSTS number that no row knows.",
        evidence: "Entra's own words, with a trace id for Microsoft's support.",
        why: "The words say it, if anything does.",
        fix: Fix::command(
            "read its words, and Microsoft's list of numbers",
            "sendas token get",
        ),
    },
];
