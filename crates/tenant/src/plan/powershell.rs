//! A plan as a PowerShell script, for an Exchange administrator who is another person.
//!
//! The script holds the cmdlets of the plan and no others, and needs the module
//! `ExchangeOnlineManagement` alone. What belongs to Entra stands in it as comments. Ids that do not
//! exist yet are parameters of the script.

use std::fmt::Write as _;

use super::step::{Action, Side, Subjects};
use super::{Plan, SEND_AS_APP};
use crate::cmdlet::{Cmdlet, Parameter, quoted};
use crate::observed::filter_of;

impl Plan {
    /// The Exchange half of the plan as a script.
    pub fn powershell(&self) -> String {
        let mut out = String::new();
        out.push_str("#Requires -Modules ExchangeOnlineManagement\n");
        comment(
            &mut out,
            &format!(
                "Set-up of the tenant {} ({}) for sending mail by SMTP, method {}.",
                self.tenant_name,
                self.tenant_id,
                self.method.name()
            ),
        );
        comment(
            &mut out,
            "Run it in a session opened with Connect-ExchangeOnline by an administrator of the role group Organization Management.",
        );
        comment(&mut out, "It changes what its lines say and nothing else.");
        for block in &self.blocks {
            comment(&mut out, &format!("MISSING FIRST: {block}"));
        }
        self.entra(&mut out);
        out.push_str("param(\n");
        parameter(&mut out, "ClientId", self.client_id.as_deref(), ",");
        parameter(&mut out, "ObjectId", self.principal_id.as_deref(), "");
        out.push_str(")\n$ErrorActionPreference = 'Stop'\n");
        let filter = self.group.as_deref().map(filter_of);
        let subjects = Subjects {
            client_id: Parameter::Variable("ClientId"),
            principal_id: Parameter::Variable("ObjectId"),
            group_filter: filter.map_or(Parameter::Variable("Filter"), Parameter::Text),
        };
        let mut done = true;
        for step in &self.steps {
            let Some(cmdlet) = step.action.cmdlet(&subjects) else {
                continue;
            };
            done = false;
            out.push('\n');
            comment(
                &mut out,
                &format!("{}: {}.", step.action.title(), step.reason),
            );
            if let (Action::CreateScope { group, .. }, None) = (&step.action, &self.group) {
                let look = Cmdlet::new("Get-DistributionGroup").with("Identity", group);
                _ = writeln!(out, "$Group = {look}");
                out.push_str(
                    "$Filter = \"MemberOfGroup -eq '\" + $Group.DistinguishedName.Replace(\"'\", \"''\") + \"'\"\n",
                );
            }
            _ = writeln!(out, "{cmdlet}");
        }
        if done {
            out.push('\n');
            comment(&mut out, "Nothing to do in Exchange.");
        }
        out
    }

    /// The steps of the Entra side, as comments.
    fn entra(&self, out: &mut String) {
        let steps: Vec<_> = self
            .steps
            .iter()
            .filter(|step| step.action.side() == Side::Entra)
            .collect();
        if steps.is_empty() {
            return;
        }
        comment(out, "");
        comment(
            out,
            "First, in the Entra portal or through Microsoft Graph (not part of this script):",
        );
        for step in steps {
            comment(out, &format!("  {}", step.action.title()));
            comment(out, &format!("    {}", by_hand(&step.action)));
        }
        comment(
            out,
            "Then run this script with the client id (Application ID) and the object id of the ENTERPRISE APPLICATION (not of the app registration).",
        );
    }
}

/// How a step of the Entra side is done by hand.
fn by_hand(action: &Action) -> String {
    match action {
        Action::CreateApplication { .. } => {
            "portal: App registrations, New registration, this organizational directory only; Graph: POST /applications".into()
        }
        Action::CreatePrincipal => {
            "the portal makes it with the registration; Graph: POST /servicePrincipals".into()
        }
        Action::AddCertificate | Action::AddSecret => {
            "portal: the registration, Certificates & secrets; keep the key or the text in a file that only its owner can read".into()
        }
        Action::RemoveStraySecret { .. } => "portal: the registration, Certificates & secrets".into(),
        Action::AddFederated(_) => {
            "portal: the registration, Certificates & secrets, Federated credentials".into()
        }
        Action::GrantPermission { .. } => format!(
            "portal: the registration, API permissions, APIs my organization uses, Office 365 Exchange Online, Application permissions, {SEND_AS_APP}; then Grant admin consent"
        ),
        _ => String::new(),
    }
}

/// A comment of one line, whatever the text holds.
fn comment(out: &mut String, text: &str) {
    let text: String = text
        .chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{85}') {
                ' '
            } else {
                c
            }
        })
        .collect();
    // Writing to a String cannot fail.
    _ = writeln!(out, "# {}", text.trim_end());
}

fn parameter(out: &mut String, name: &str, value: Option<&str>, end: &str) {
    _ = match value {
        Some(value) => writeln!(out, "    [string]${name} = {}{end}", quoted(value)),
        None => writeln!(
            out,
            "    [Parameter(Mandatory = $true)][string]${name}{end}"
        ),
    };
}
