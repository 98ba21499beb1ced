//! Pages that say what happened and what to do.

use askama::Template;

use super::shell::{Holds, Shell, visible};
use super::texts::{NoticeText, Texts, fill};
use super::{Page, RenderError, Site};
use crate::problem::{Problem, ProblemCode};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The invitation's date has passed.
    InvitationExpired,
    /// The invitation was withdrawn or replaced.
    InvitationCancelled,
    /// The invitee has declined, now or before.
    InvitationDeclined,
    /// The invitation was accepted before.
    InvitationAlreadyAccepted,
    /// There will be no more reminders of the invitation.
    RemindersStopped,
    /// A link is on its way to an address that has to be proven.
    ProofSent,
    /// The time to prove an address is over.
    ProofExpired,
    /// The code that an address was to be proven for cannot be redeemed any more.
    ProofClosed,
    /// What was held for an address to be proven was given back on request.
    ProofDeclined,
    /// The address was proven before.
    ProofDone,
    /// The link was expired, withdrawn or replaced, without saying which.
    LinkGone,
    /// There is no such link.
    UnknownLink,
    /// A link to choose a password was used or has expired.
    PasswordLinkGone,
    /// An administrator keeps this learner out.
    AccessSuspended,
    /// No seat of this learner is open, and none will be.
    AccessEnded,
    /// The password is saved.
    PasswordSet,
    /// The pool is empty.
    NoSeatsLeft,
    /// The contract has ended.
    ContractEnded,
    /// The code cannot be redeemed; why is not said.
    CodeNotRedeemable,
    /// Too many refused tries.
    TooManyTries {
        /// Seconds to wait; shown in minutes, rounded up.
        retry_after: u32,
    },
    /// A service does not answer; trying again helps.
    Unavailable,
    /// A fault of this service.
    Failure,
}

impl Notice {
    /// The notice for a problem that no field can mend.
    pub fn of(problem: &Problem) -> Self {
        match problem.code {
            ProblemCode::AlreadyAccepted => Self::InvitationAlreadyAccepted,
            ProblemCode::Gone => Self::LinkGone,
            ProblemCode::NotFound => Self::UnknownLink,
            ProblemCode::NoSeatsLeft => Self::NoSeatsLeft,
            ProblemCode::ContractEnded => Self::ContractEnded,
            ProblemCode::CodeNotRedeemable => Self::CodeNotRedeemable,
            ProblemCode::TooManyRequests => {
                Self::TooManyTries { retry_after: problem.retry_after.unwrap_or(60) }
            }
            ProblemCode::Unavailable | ProblemCode::RequestInProgress | ProblemCode::Conflict => {
                Self::Unavailable
            }
            _ => Self::Failure,
        }
    }

    fn text(self, texts: &Texts) -> &NoticeText {
        let notices = &texts.notices;
        match self {
            Self::InvitationExpired => &notices.invitation_expired,
            Self::InvitationCancelled => &notices.invitation_cancelled,
            Self::InvitationDeclined => &notices.invitation_declined,
            Self::InvitationAlreadyAccepted => &notices.invitation_already_accepted,
            Self::RemindersStopped => &notices.reminders_stopped,
            Self::ProofSent => &notices.proof_sent,
            Self::ProofExpired => &notices.proof_expired,
            Self::ProofClosed => &notices.proof_closed,
            Self::ProofDeclined => &notices.proof_declined,
            Self::ProofDone => &notices.proof_done,
            Self::LinkGone => &notices.link_gone,
            Self::UnknownLink => &notices.unknown_link,
            Self::PasswordLinkGone => &notices.password_link_gone,
            Self::AccessSuspended => &notices.access_suspended,
            Self::AccessEnded => &notices.access_ended,
            Self::PasswordSet => &notices.password_set,
            Self::NoSeatsLeft => &notices.no_seats_left,
            Self::ContractEnded => &notices.contract_ended,
            Self::CodeNotRedeemable => &notices.code_not_redeemable,
            Self::TooManyTries { .. } => &notices.too_many_tries,
            Self::Unavailable => &notices.unavailable,
            Self::Failure => &notices.failure,
        }
    }

    /// Whether the next step is to sign in.
    fn leads_to_client(self) -> bool {
        matches!(self, Self::InvitationAlreadyAccepted | Self::ProofDone | Self::PasswordSet)
    }

    /// Title, what happened, and what to do, with the client's name filled in.
    pub(super) fn words(self, site: &Site<'_>) -> (&'static str, String, String) {
        let texts = site.language.texts();
        let text = self.text(texts);
        let client = site.client.as_ref().map(|client| visible(client.name));
        let client = client.as_deref().unwrap_or(texts.some_client);
        let minutes = match self {
            Self::TooManyTries { retry_after } => retry_after.div_ceil(60).max(1).to_string(),
            _ => String::new(),
        };
        let values = [("client", client), ("minutes", minutes.as_str())];
        (text.title, fill(text.what, &values), fill(text.todo, &values))
    }
}

#[derive(Template)]
#[template(path = "notice.html")]
struct NoticePage<'a> {
    shell: &'a Shell,
    title: &'a str,
    what: String,
    todo: String,
    action: Option<(&'a str, &'static str)>,
}

/// A page that says what happened and what to do.
///
/// `path` is where a `GET` shows the same in another language, such as `/i/<token>`; without one
/// there is no language switch.
pub fn notice(site: &Site<'_>, notice: Notice, path: Option<&str>) -> Result<Page, RenderError> {
    let shell = Shell::new(site, path);
    let (title, what, todo) = notice.words(site);
    let launch = site.client.as_ref().map(|client| client.launch_url);
    let web = |url: &&str| url.starts_with("https://") || url.starts_with("http://");
    let action = launch
        .filter(|url| notice.leads_to_client() && web(url))
        .map(|url| (url, site.language.texts().go_to_client));
    let html = NoticePage { shell: &shell, title, what, todo, action }.render()?;
    Ok(shell.page(site, &html, Holds::Words))
}
