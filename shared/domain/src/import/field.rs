//! The columns an import understands.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A recognized column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The address: the only mandatory column.
    Email,
    /// Given name.
    FirstName,
    /// Family name.
    LastName,
    /// Language of the learner and their mails.
    Language,
    /// Groups to join.
    Groups,
    /// Free labels.
    Labels,
    /// Roles to hold.
    Roles,
    /// First day.
    StartOn,
    /// Days from the first to the last.
    DurationDays,
    /// Last day.
    EndOn,
    /// Day of deletion.
    DeleteOn,
    /// Password chosen by the administrator.
    Password,
    /// Whether a mail is sent.
    Notify,
    /// The client's own identifier of the person.
    ExternalId,
    /// Free text.
    AdditionalInfo,
}

impl Field {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Every field, in the order of the template workbook.
    pub const ALL: [Self; 15] = [
        Self::Email,
        Self::FirstName,
        Self::LastName,
        Self::Language,
        Self::Groups,
        Self::Labels,
        Self::Roles,
        Self::StartOn,
        Self::DurationDays,
        Self::EndOn,
        Self::DeleteOn,
        Self::Password,
        Self::Notify,
        Self::ExternalId,
        Self::AdditionalInfo,
    ];

    /// The canonical heading, also the name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::FirstName => "first_name",
            Self::LastName => "last_name",
            Self::Language => "language",
            Self::Groups => "groups",
            Self::Labels => "labels",
            Self::Roles => "roles",
            Self::StartOn => "start_on",
            Self::DurationDays => "duration_days",
            Self::EndOn => "end_on",
            Self::DeleteOn => "delete_on",
            Self::Password => "password",
            Self::Notify => "notify",
            Self::ExternalId => "external_id",
            Self::AdditionalInfo => "additional_info",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
