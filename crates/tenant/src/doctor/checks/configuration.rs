//! The configuration.

use super::checks;
use crate::doctor::check::{of, ok, problem, warning};

checks! { CHECKS, Configuration:
    "D-CFG-01" Nothing Given [] "a configuration is found"
        tests "one of the usual files, the named file, or the environment holds settings"
        why "without one there is nobody to send as"
        fix "sendas setup plan"
        look |scene| {
            let found = &scene.case.configuration;
            let files: Vec<String> = found.files.iter().map(|file| file.display().to_string()).collect();
            Ok(if !files.is_empty() {
                ok(files.join(", "))
            } else if !found.principals.is_empty() {
                ok("the environment alone")
            } else if !found.errors.is_empty() {
                return Err("waits for D-CFG-02: it cannot be read".to_owned());
            } else {
                let looked: Vec<String> = found.missing.iter().map(|file| file.display().to_string()).collect();
                problem(format!("nothing at {}", looked.join(", ")))
            })
        };
    "D-CFG-02" Nothing Given [] "the configuration has no errors"
        tests "every setting is known, of its kind, and agrees with the others"
        why "nothing is tried with a configuration that is not understood"
        fix "sendas config check"
        look |scene| Ok(match scene.case.configuration.errors.as_slice() {
            [] => ok("it has none"),
            [first, rest @ ..] => problem(match rest.len() {
                0 => first.clone(),
                more => format!("{first} (and {more} more)"),
            }),
        });
    "D-CFG-03" Nothing Given ["D-CFG-02"] "the configuration has no warnings"
        tests "what the configuration check warns of"
        why "such a setting works today and surprises later"
        fix "sendas config check"
        look |scene| Ok(match scene.case.configuration.warnings.as_slice() {
            [] => ok("it has none"),
            [first, ..] => warning(first.clone()),
        });
    "D-CFG-04" Nothing Given ["D-CFG-02"] "a principal is configured"
        tests "at least one principal, and a clear choice among several"
        why "the principal is who logs in"
        fix "sendas doctor --principal NAME"
        look |scene| {
            let found = &scene.case.configuration;
            Ok(match (&found.unchosen, &scene.case.subject) {
                (_, Some(subject)) => ok(format!("`{}` is examined", subject.name)),
                (Some(why), None) => problem(why.clone()),
                (None, None) if !found.errors.is_empty() => {
                    return Err("waits for D-CFG-02: the configuration has errors".to_owned());
                }
                (None, None) if found.principals.is_empty() => problem("there is none").fix("sendas setup plan"),
                (None, None) => problem("none of them can be examined"),
            })
        };
    "D-CFG-05" Nothing Given ["D-CFG-04"] "the environment means the same application"
        tests "AZURE_CLIENT_ID, when it is set, is the principal's client id"
        why "other programs on this machine take the variable, and two applications are easily mistaken for each other"
        fix "unset AZURE_CLIENT_ID"
        look |scene| {
            let subject = scene.subject()?;
            let mine = subject.client_id.as_ref().map(sendas_entra::ClientId::as_str);
            Ok(match (&scene.case.configuration.variable_client_id, mine) {
                (None, _) => ok("AZURE_CLIENT_ID is not set"),
                (Some(theirs), Some(mine)) if !theirs.eq_ignore_ascii_case(mine) => {
                    warning(format!("AZURE_CLIENT_ID is {theirs}, the principal's is {mine}"))
                }
                _ => ok("AZURE_CLIENT_ID agrees"),
            })
        };
    "D-CFG-06" Nothing Given ["D-CFG-04"] "the tenant names one organisation"
        tests "the tenant is an id or a domain, and no placeholder such as common"
        why "it is part of the address that tokens come from"
        fix "write the tenant's id into `tenant` of the principal"
        look |scene| {
            let subject = scene.subject()?;
            Ok(match &subject.tenant {
                None => ok("the machine's own identity knows it"),
                Some(tenant) if ["common", "organizations", "consumers"].contains(&tenant.as_str()) => {
                    problem(format!("`{tenant}` is a placeholder for people who sign in"))
                }
                Some(tenant) if tenant.is_id() => ok(format!("the id {tenant}")),
                Some(tenant) => ok(format!("the domain {tenant}")),
            })
        };
    "D-CFG-07" Nothing Given ["D-CFG-04"] "the client id can be one"
        tests "it is not all zeros, and not the tenant's id"
        why "the portal shows several ids beside each other"
        fix "copy \u{201c}Application (client) ID\u{201d} of the app registration into `client_id`"
        look |scene| {
            let subject = scene.subject()?;
            Ok(match (&subject.client_id, &subject.tenant) {
                (None, _) => ok("the machine's own identity knows it"),
                (Some(id), _) if id.as_str().bytes().all(|octet| matches!(octet, b'0' | b'-')) => {
                    problem("it is all zeros")
                }
                (Some(id), Some(tenant)) if id.as_str().eq_ignore_ascii_case(tenant.as_str()) => {
                    problem("it is the tenant's id")
                }
                (Some(id), _) => ok(id.as_str().to_owned()),
            })
        };
    "D-CFG-08" Nothing Given ["D-CFG-04"] "a mailbox is known"
        tests "the principal names an address, or --mailbox does"
        why "one AUTH chooses one mailbox"
        fix "sendas doctor --mailbox noreply@contoso.com"
        look |scene| Ok(match &scene.subject()?.mailbox {
            Some(mailbox) => ok(mailbox.as_str().to_owned()),
            None => problem("no entry of `mailboxes` is one address"),
        });
    "D-CFG-09" Nothing Given ["D-CFG-08"] "the principal covers the mailbox"
        tests "an entry of `mailboxes` fits it"
        why "a sender outside of the map is refused before anything is sent"
        fix "add {mailbox} to `mailboxes` of the principal"
        look |scene| {
            let subject = scene.subject()?;
            let mailbox = subject.mailbox.as_ref().ok_or("waits for D-CFG-08: no mailbox is known")?;
            Ok(if subject.is_covered {
                ok(format!("`{}` sends for {}", subject.name, mailbox.as_str()))
            } else {
                problem(format!("`{}` does not send for {}", subject.name, mailbox.as_str()))
            })
        };
    "D-CFG-10" Nothing Machine ["D-CFG-01"] "nobody else can write the configuration"
        tests "group and others have no right to write its files"
        why "whoever writes it sends as anybody, and names the file that secrets are read from"
        fix "chmod go-w FILE"
        look |scene| {
            let writable = &of(&scene.seen.machine)?.writable;
            Ok(match writable.first() {
                None => ok("its owner only"),
                Some(path) => problem(format!("others may write {}", path.display()))
                    .fix(format!("chmod go-w {}", path.display())),
            })
        };
    "D-CFG-11" Nothing Given ["D-CFG-04"] "the proxy setting can be read"
        tests "HTTPS_PROXY, ALL_PROXY and NO_PROXY"
        why "tokens are fetched through it; SMTP never is"
        fix "write it as http://host:port"
        look |scene| Ok(match &scene.subject()?.proxy {
            Ok(proxy) if proxy.is_set() => ok("a proxy is set for HTTPS"),
            Ok(_) => ok("no proxy is set"),
            Err(words) => problem(words.clone()),
        });
}
