//! Roles: what a learner may be, and who is calling.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, GroupId};

/// A role that a person of a client holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Learns.
    Learner,
    /// Teaches one session's group.
    Instructor,
    /// Administers groups.
    GroupAdmin,
    /// Administers the client.
    ClientAdmin,
}

/// Why a text names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected learner, instructor, group_admin or client_admin")]
pub struct UnknownRole;

impl Role {
    /// The name used in JSON and spreadsheets.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Learner => "learner",
            Self::Instructor => "instructor",
            Self::GroupAdmin => "group_admin",
            Self::ClientAdmin => "client_admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    /// Reads a role's name in any case; a space or hyphen counts as the underscore.
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let name = text.trim().to_ascii_lowercase().replace([' ', '-'], "_");
        [Self::Learner, Self::Instructor, Self::GroupAdmin, Self::ClientAdmin]
            .into_iter()
            .find(|role| role.as_str() == name)
            .ok_or(UnknownRole)
    }
}

/// Who grants the privileged roles of a contract (every role but learner).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum PrivilegedRoles {
    /// The vendor's staff only.
    #[default]
    Vendor,
    /// The client's administrators too.
    ClientAdmin,
}

/// What the token of a caller says it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerRole {
    /// The vendor's staff: every client.
    VendorAdmin,
    /// Administers one client.
    ClientAdmin,
    /// Administers groups of one client.
    GroupAdmin,
    /// Teaches groups of one client.
    Instructor,
    /// A machine, such as the LMS.
    Service,
}

/// The clients a caller may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Vendor,
    /// This one.
    Client(ClientId),
}

/// Who calls, as its verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's subject.
    pub subject: String,
    /// The token's address, if it has one.
    pub email: Option<String>,
    /// The clients it may see.
    pub scope: Scope,
    /// What it may do.
    pub role: CallerRole,
    /// The groups it is confined to, for group administrators and instructors.
    pub groups: BTreeSet<GroupId>,
}

impl Caller {
    /// Whether this client's objects exist for the caller.
    pub fn sees(&self, client: &ClientId) -> bool {
        match &self.scope {
            Scope::Vendor => true,
            Scope::Client(own) => own == client,
        }
    }

    /// The groups the caller is confined to; `None` for one who sees the whole client.
    pub fn own_groups(&self) -> Option<&BTreeSet<GroupId>> {
        match self.role {
            CallerRole::GroupAdmin | CallerRole::Instructor => Some(&self.groups),
            CallerRole::VendorAdmin | CallerRole::ClientAdmin | CallerRole::Service => None,
        }
    }

    /// Whether the caller may give `role` on a contract with this policy. Instructors and group
    /// administrators give only the learner role.
    pub fn may_grant(&self, role: Role, policy: PrivilegedRoles) -> bool {
        match self.role {
            _ if role == Role::Learner => true,
            CallerRole::VendorAdmin => true,
            CallerRole::ClientAdmin => policy == PrivilegedRoles::ClientAdmin,
            CallerRole::GroupAdmin | CallerRole::Instructor | CallerRole::Service => false,
        }
    }
}
