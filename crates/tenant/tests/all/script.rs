//! The printed script, read back and run cmdlet by cmdlet: the same tenant as `apply` makes.

use std::collections::BTreeMap;

use sendas_sandbox::Preset;
use sendas_tenant::cmdlet::{Cmdlet, Parameter};
use sendas_tenant::{CredentialWish, Method, Plan, StateFile};

use crate::sandbox::{mailboxes, shape, stage, start};
use crate::stage::{Counted, wish};

/// One line of the script as words; a quoted word keeps its mark.
fn words(line: &str) -> Vec<(bool, String)> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c == ' ' {
            chars.next();
        } else if c == '\'' {
            chars.next();
            let mut word = String::new();
            loop {
                match chars.next().expect("a quote is closed") {
                    '\'' if chars.peek() == Some(&'\'') => word.push(chars.next().unwrap()),
                    '\'' => break,
                    c => word.push(c),
                }
            }
            words.push((true, word));
        } else {
            let mut word = String::new();
            while let Some(c) = chars.next_if(|c| *c != ' ') {
                word.push(c);
            }
            words.push((false, word));
        }
    }
    words
}

fn parameter(word: &(bool, String), variables: &BTreeMap<String, String>) -> Parameter {
    match word {
        (true, text) => Parameter::Text(text.clone()),
        (false, word) => match word.as_str() {
            "$true" => Parameter::Switch(true),
            "$false" => Parameter::Switch(false),
            "$null" => Parameter::Null,
            variable => Parameter::Text(variables[variable.trim_start_matches('$')].clone()),
        },
    }
}

fn cmdlet(line: &str, variables: &BTreeMap<String, String>) -> Cmdlet {
    let words = words(line);
    let known = |word: &str| -> &'static str { Box::leak(word.to_owned().into_boxed_str()) };
    let mut cmdlet = Cmdlet::new(known(&words[0].1));
    let mut rest = words[1..].iter();
    while let Some((_, name)) = rest.next() {
        let name = name.strip_prefix('-').expect("a parameter");
        cmdlet = match name.split_once(':') {
            Some((name, value)) => cmdlet.with(
                known(name),
                parameter(&(false, value.to_owned()), variables),
            ),
            None => cmdlet.with(known(name), parameter(rest.next().unwrap(), variables)),
        };
    }
    cmdlet
}

#[tokio::test]
async fn the_script_makes_the_same_tenant_as_apply() {
    for method in [Method::Rbac, Method::Classic] {
        let sandbox = start(Preset::Fresh).await;
        let list = mailboxes(&sandbox);
        let wish = wish(method, &[&list[0], &list[1]], CredentialWish::Certificate);

        let byhand = stage(&sandbox);
        let counted = Counted::new(std::sync::Arc::clone(&byhand.transport), None);
        let setup = byhand.setup(&counted);
        let file = StateFile::open(byhand.state_path()).unwrap();
        let (plan, observed): (Plan, _) = setup.plan(&wish, &file).await.unwrap();
        let script = plan.powershell();
        // The Entra half, as its comments say.
        let graph = setup.graph();
        let application = graph.create_application("sendas", None).await.unwrap();
        let principal = graph
            .create_service_principal(&application.app_id)
            .await
            .unwrap();
        if method == Method::Classic {
            let resource = observed.resource.unwrap();
            graph
                .grant(&principal.id, &resource.id, &resource.send_as_app.unwrap())
                .await
                .unwrap();
        }
        let mut variables = BTreeMap::from([
            ("ClientId".to_owned(), application.app_id.clone()),
            ("ObjectId".to_owned(), principal.id.clone()),
        ]);
        let exchange = setup.exchange_admin(&plan.tenant_id);
        let code = script.split_once("'Stop'\n").unwrap().1;
        for line in code.lines() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(look) = line.strip_prefix("$Group = ") {
                let rows = exchange.run(&cmdlet(look, &variables)).await.unwrap();
                let name = rows[0]["DistinguishedName"].as_str().unwrap();
                variables.insert("Group".into(), name.to_owned());
            } else if line.starts_with("$Filter = ") {
                let name = variables["Group"].replace('\'', "''");
                variables.insert("Filter".into(), format!("MemberOfGroup -eq '{name}'"));
            } else {
                exchange.run(&cmdlet(line, &variables)).await.unwrap();
            }
        }
        let mut made = shape(&sandbox);

        let other = start(Preset::Fresh).await;
        stage(&other).apply(&wish, None).await.0.lived();
        let mut expected = shape(&other);
        for shape in [&mut made, &mut expected] {
            // The script cannot make a certificate.
            shape["applications"] = serde_json::Value::Null;
        }
        assert_eq!(made, expected, "{method:?}");
    }
}
