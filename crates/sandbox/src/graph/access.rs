//! Who may do what: scopes and roles of the token, directory roles of the person.

use uuid::Uuid;

use super::Call;
use super::error::{self, GraphError};
use crate::state::roles;

/// Permissions that allow an operation: names of scopes, which are names of roles too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    ReadApplications,
    WriteApplications,
    Grant,
    ReadGrants,
    Consent,
    ReadRoles,
    WriteRoles,
    ReadOrganization,
    ReadDomains,
    ReadPeople,
    ReadSelf,
    ReadGroups,
    WriteGroups,
}

impl Right {
    // Source: the permission tables of each operation's page; the least one comes first.
    fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::ReadApplications => &[
                "Application.Read.All",
                "Application.ReadWrite.OwnedBy",
                "Application.ReadWrite.All",
                "Directory.Read.All",
                "Directory.ReadWrite.All",
            ],
            Self::WriteApplications => &["Application.ReadWrite.All", "Directory.ReadWrite.All"],
            Self::Grant => &["AppRoleAssignment.ReadWrite.All"],
            Self::ReadGrants => &[
                "Application.Read.All",
                "Application.ReadWrite.All",
                "AppRoleAssignment.ReadWrite.All",
                "Directory.Read.All",
                "Directory.ReadWrite.All",
            ],
            Self::Consent => &[
                "DelegatedPermissionGrant.ReadWrite.All",
                "Directory.ReadWrite.All",
            ],
            Self::ReadRoles => &[
                "RoleManagement.Read.Directory",
                "RoleManagement.ReadWrite.Directory",
                "Directory.Read.All",
                "Directory.ReadWrite.All",
            ],
            Self::WriteRoles => &["RoleManagement.ReadWrite.Directory"],
            Self::ReadOrganization => &[
                "User.Read",
                "Organization.Read.All",
                "Directory.Read.All",
                "Directory.ReadWrite.All",
            ],
            Self::ReadDomains => &[
                "Domain.Read.All",
                "Directory.Read.All",
                "Directory.ReadWrite.All",
            ],
            Self::ReadPeople => &[
                "User.ReadBasic.All",
                "User.Read.All",
                "Directory.Read.All",
                "Directory.ReadWrite.All",
            ],
            Self::ReadSelf => &[
                "User.Read",
                "User.Read.All",
                "Directory.Read.All",
                "Directory.ReadWrite.All",
            ],
            Self::ReadGroups => &[
                "GroupMember.Read.All",
                "Group.Read.All",
                "Group.ReadWrite.All",
                "Directory.Read.All",
                "Directory.ReadWrite.All",
            ],
            Self::WriteGroups => &["Group.ReadWrite.All", "Directory.ReadWrite.All"],
        }
    }

    // Directory roles, one of which a person needs besides the scope; none for reading.
    fn roles(self) -> &'static [Uuid] {
        match self {
            Self::WriteApplications | Self::Consent => &[
                roles::GLOBAL_ADMINISTRATOR,
                roles::APPLICATION_ADMINISTRATOR,
                roles::CLOUD_APPLICATION_ADMINISTRATOR,
            ],
            // Whose permission is granted decides more: `require_grant`.
            Self::Grant => &[
                roles::GLOBAL_ADMINISTRATOR,
                roles::PRIVILEGED_ROLE_ADMINISTRATOR,
                roles::APPLICATION_ADMINISTRATOR,
                roles::CLOUD_APPLICATION_ADMINISTRATOR,
            ],
            Self::WriteRoles => &[
                roles::GLOBAL_ADMINISTRATOR,
                roles::PRIVILEGED_ROLE_ADMINISTRATOR,
            ],
            Self::WriteGroups => &[roles::GLOBAL_ADMINISTRATOR, roles::EXCHANGE_ADMINISTRATOR],
            _ => &[],
        }
    }
}

impl Call<'_> {
    /// Checks the token's permissions and the person's directory roles.
    pub(super) fn require(&self, right: Right) -> Result<(), GraphError> {
        if !self.caller.may(right.permissions()) {
            let needed = right.permissions().join(", ");
            return Err(error::DENIED
                .said()
                .because(format!("the token has none of: {needed}")));
        }
        let roles = right.roles();
        if self.caller.person.is_some() && !roles.is_empty() && !self.holds(roles) {
            return Err(error::DENIED
                .said()
                .because("the person holds no directory role that allows it"));
        }
        Ok(())
    }

    /// Checks who may grant an application permission: those of Microsoft Graph itself are for
    /// Global and Privileged Role Administrators.
    pub(super) fn require_grant(&self, of_graph: bool) -> Result<(), GraphError> {
        self.require(Right::Grant)?;
        let enough = [
            roles::GLOBAL_ADMINISTRATOR,
            roles::PRIVILEGED_ROLE_ADMINISTRATOR,
        ];
        if of_graph && self.caller.person.is_some() && !self.holds(&enough) {
            return Err(error::DENIED.said().because(
                "permissions of Microsoft Graph need a Global or Privileged Role Administrator",
            ));
        }
        Ok(())
    }

    fn holds(&self, any: &[Uuid]) -> bool {
        self.view
            .directory_roles(self.caller.object_id)
            .iter()
            .any(|held| any.contains(held))
    }
}
