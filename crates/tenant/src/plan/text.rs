//! A plan for a person, and for a script.

use std::fmt;

use serde_json::{Value, json};

use super::Plan;

impl Plan {
    /// The plan as JSON: `done`, `tenant`, `method`, `steps`, `blocks`, `notices`.
    pub fn json(&self) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|step| {
                json!({
                    "id": step.action.id(),
                    "side": step.action.side().name(),
                    "title": step.action.title(),
                    "reason": step.reason,
                })
            })
            .collect();
        let notices: Vec<Value> = self
            .notices
            .iter()
            .map(|notice| {
                json!({
                    "id": notice.id,
                    "excess": notice.is_excess,
                    "text": notice.text,
                    "removal": notice.removal,
                })
            })
            .collect();
        json!({
            "version": 1,
            "done": self.is_done(),
            "tenant": { "id": self.tenant_id, "name": self.tenant_name },
            "method": self.method.name(),
            "client_id": self.client_id,
            "service_principal_id": self.principal_id,
            "steps": steps,
            "blocks": self.blocks,
            "notices": notices,
        })
    }
}

/// The plan as text, one line per step with its reason below.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Tenant {} ({})", self.tenant_name, self.tenant_id)?;
        writeln!(f, "Method {}", self.method.name())?;
        if let Some(client_id) = &self.client_id {
            writeln!(f, "Application {client_id}")?;
        }
        if !self.blocks.is_empty() {
            writeln!(f, "\nCannot be done as it stands:")?;
            for block in &self.blocks {
                writeln!(f, "  ! {block}")?;
            }
        }
        if self.is_done() {
            writeln!(f, "\nNothing to do: the tenant holds everything already.")?;
        } else if !self.steps.is_empty() {
            writeln!(f, "\nTo do:")?;
            for (number, step) in self.steps.iter().enumerate() {
                let number = number + 1;
                writeln!(
                    f,
                    "{number:>4}. [{}] {}",
                    step.action.side().name(),
                    step.action.title()
                )?;
                writeln!(f, "      {}", step.reason)?;
            }
        }
        if !self.notices.is_empty() {
            writeln!(f, "\nGood to know:")?;
            for notice in &self.notices {
                let sign = if notice.is_excess { '!' } else { '-' };
                writeln!(f, "  {sign} {}", notice.text)?;
                for line in &notice.removal {
                    writeln!(f, "      {line}")?;
                }
            }
        }
        Ok(())
    }
}
