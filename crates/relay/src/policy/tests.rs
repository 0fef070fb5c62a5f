//! Tables of who may do what, and of settings no relay starts with.

use sendas_config::{Pattern, RelayClient};

use super::test_settings::{client, principal, relay, with_login};
use super::*;

fn policy(clients: Vec<RelayClient>) -> Result<Policy, PolicyError> {
    Policy::new(&relay(clients), &[principal(&["*@contoso.com"])])
}

#[test]
fn settings_that_no_relay_starts_with() {
    let ok = || client("c", &["10.0.0.0/8"], &["a@contoso.com"]);
    assert!(policy(vec![ok()]).is_ok());
    assert_eq!(policy(vec![]).unwrap_err(), PolicyError::NoClient);
    for network in ["0.0.0.0/0", "0.0.0.0/1", "8.0.0.0/7", "::/0", "2000::/3"] {
        let open = client("c", &["10.1.2.3/32", network], &["a@contoso.com"]);
        let error = policy(vec![open.clone()]).unwrap_err();
        assert!(
            matches!(error, PolicyError::OpenRelay { .. }),
            "{network}: {error}"
        );
        assert!(
            policy(vec![with_login(open, "u")]).is_ok(),
            "a login closes it"
        );
    }
    let nobody = client("c", &[], &["a@contoso.com"]);
    assert_eq!(
        policy(vec![nobody.clone()]).unwrap_err(),
        PolicyError::NoClient
    );
    let mut plain = with_login(nobody, "u");
    plain.plaintext_auth = true;
    let error = policy(vec![plain.clone()]).unwrap_err();
    assert!(matches!(error, PolicyError::PlaintextFromAnywhere { .. }));
    let foreign = client("c", &["10.0.0.0/8"], &["a@fabrikam.com"]);
    let error = policy(vec![foreign]).unwrap_err();
    assert!(matches!(error, PolicyError::Uncovered { .. }), "{error}");
    let mut settings = relay(vec![with_login(ok(), "u")]);
    settings.listen[0].tls = ListenTls::None;
    let error = Policy::new(&settings, &[principal(&["*"])]).unwrap_err();
    assert!(
        matches!(error, PolicyError::LoginWithoutTls { .. }),
        "{error}"
    );
}

#[test]
fn the_narrowest_network_names_the_client() {
    let policy = policy(vec![
        client("all", &["10.0.0.0/8", "2001:db8::/32"], &["a@contoso.com"]),
        client("floor", &["10.1.0.0/16"], &["a@contoso.com"]),
        client("hp", &["10.1.2.3"], &["a@contoso.com"]),
        with_login(client("erp", &["10.1.2.0/24"], &["a@contoso.com"]), "erp"),
    ])
    .unwrap();
    for (peer, expected) in [
        ("10.9.9.9", Some("all")),
        ("10.1.9.9", Some("floor")),
        ("10.1.2.3", Some("hp")),
        ("10.1.2.4", Some("floor")),
        ("::ffff:10.1.2.3", Some("hp")),
        ("2001:db8::1", Some("all")),
        ("192.0.2.1", None),
    ] {
        let peer = peer.parse().unwrap();
        let found = policy.by_network(peer).map(|client| client.name.as_str());
        assert_eq!(found, expected, "{peer}");
    }
    let inside = "10.1.2.9".parse().unwrap();
    let outside = "10.1.3.9".parse().unwrap();
    assert!(policy.by_login(inside, "erp", true).is_some());
    assert!(policy.by_login(inside, "erp", false).is_none());
    assert!(policy.by_login(inside, "hp", true).is_none());
    assert!(policy.by_login(outside, "erp", true).is_none());
    assert!(policy.offers_login(inside, true) && !policy.offers_login(outside, true));
}

/// The reverse-path and the mailbox, or why not.
type Found<'a> = Result<(&'a str, &'a str), Refusal>;

#[test]
fn the_mailbox_rule() {
    let mut rewriting = client("r", &["10.0.0.2"], &["*@contoso.com", "own@contoso.com"]);
    rewriting.rewrite_from = RewriteFrom::IfNotAllowed;
    let mut always = rewriting.clone();
    always.rewrite_from = RewriteFrom::Always;
    let wide = client("w", &["10.0.0.3"], &["*"]);
    let policy = policy(vec![
        client("n", &["10.0.0.1"], &["own@contoso.com", "two@contoso.com"]),
        rewriting,
        always,
        wide,
    ])
    .unwrap();
    let table: &[(usize, &str, Found<'_>)] = &[
        (
            0,
            "own@contoso.com",
            Ok(("own@contoso.com", "own@contoso.com")),
        ),
        (
            0,
            "OWN@contoso.com",
            Ok(("OWN@contoso.com", "OWN@contoso.com")),
        ),
        (0, "x@contoso.com", Err(Refusal::SenderNotAllowed)),
        (0, "", Ok(("", "own@contoso.com"))),
        (1, "x@contoso.com", Ok(("x@contoso.com", "x@contoso.com"))),
        (
            1,
            "hp@copier.local",
            Ok(("own@contoso.com", "own@contoso.com")),
        ),
        (
            2,
            "x@contoso.com",
            Ok(("own@contoso.com", "own@contoso.com")),
        ),
        (2, "", Ok(("", "own@contoso.com"))),
        (3, "x@contoso.com", Ok(("x@contoso.com", "x@contoso.com"))),
        (3, "x@fabrikam.com", Err(Refusal::SenderUncovered)),
        (3, "", Err(Refusal::NullWithoutMailbox)),
    ];
    for (at, given, expected) in table {
        let given = ReversePath::parse(given).unwrap();
        let found = policy.sender(&policy.clients()[*at], &given);
        let found = found
            .as_ref()
            .map(|sender| (sender.reverse_path.as_str(), sender.route.mailbox.as_str()));
        assert_eq!(found.map_err(|refusal| *refusal), *expected, "{at} {given}");
    }
}

#[test]
fn recipients_and_the_tricks_with_them() {
    let mut inner = client("i", &["10.0.0.1"], &["*"]);
    inner.recipients = vec![Pattern::parse("*@contoso.com").unwrap()];
    let policy = policy(vec![client("w", &["10.0.0.2"], &["*"]), inner]).unwrap();
    for (at, path, accepted, expected) in [
        (0, "a@example.org", 0, Ok(())),
        (0, "a@example.org", 3, Err(Refusal::TooManyRecipients(3))),
        (0, "postmaster", 0, Err(Refusal::BarePostmaster)),
        (0, "a%example.org@contoso.com", 0, Err(Refusal::HiddenRoute)),
        (0, "example.org!a@contoso.com", 0, Err(Refusal::HiddenRoute)),
        (
            0,
            "\"a@example.org\"@contoso.com",
            0,
            Err(Refusal::HiddenRoute),
        ),
        (0, "a@[192.0.2.1]", 0, Err(Refusal::AddressLiteral)),
        (1, "a@contoso.com", 0, Ok(())),
        (1, "a@example.org", 0, Err(Refusal::RecipientNotAllowed)),
        (
            1,
            "a@contoso.com.example.org",
            0,
            Err(Refusal::RecipientNotAllowed),
        ),
    ] {
        let parsed = ForwardPath::parse(path).unwrap();
        let found = policy.recipient(&policy.clients()[at], &parsed, accepted);
        assert_eq!(found, expected, "{path}");
    }
}
