//! What the domain knows of a mail, as a [`Letter`]: links and passwords are derived here, at the
//! moment of writing.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use seatkeeper_domain::client::{AlertRecipient, Client, HttpsUrl};
use seatkeeper_domain::code::{Batch, Code};
use seatkeeper_domain::color::Color;
use seatkeeper_domain::contract::OnEnd;
use seatkeeper_domain::dates::local_date;
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::import_run::{ImportRun, ImportStatus};
use seatkeeper_domain::invitation::Invitation;
use seatkeeper_domain::language::Language;
use seatkeeper_domain::learner::{Learner, Seat};
use seatkeeper_domain::link::{Link as PersonalLink, PASSWORD_LINK_LIFETIME};
use seatkeeper_domain::outbox::Letter as Saying;
use seatkeeper_domain::password::Password;
use seatkeeper_domain::ports::{About, Reader as Audience, Unwritable, Writer, WrittenMail};
use seatkeeper_domain::secrets::Keys;

use crate::{
    Brand, FirstSignIn, ImportEnding, ImportNews, Letter, LetterKind, Link, Reader, Rendered,
    render, resolve_language,
};

/// Writes mails in the reader's language, with links to the pages at one address.
#[derive(Debug, Clone)]
pub struct LetterWriter {
    keys: Keys,
    page_base_url: String,
}

/// How a learner gets in, at the moment of writing.
enum WayIn {
    /// There is no password yet: they choose one.
    Link(String, Date),
    /// With the generated one, which they have not changed.
    Password(Password),
    /// With their own.
    Own,
}

impl LetterWriter {
    /// A writer whose links lead below `page_base_url`, which has no final slash.
    pub fn new(keys: Keys, page_base_url: impl Into<String>) -> Self {
        Self { keys, page_base_url: page_base_url.into() }
    }

    fn url(&self, link: &PersonalLink) -> String {
        format!("{}{}", self.page_base_url, link.path(&self.keys))
    }

    fn password_link(
        &self,
        client: &Client,
        learner: &Learner,
        until: Timestamp,
    ) -> (String, Date) {
        let link = PersonalLink::password_until(&client.client_id, learner, until);
        (self.url(&link), last_day(until, client))
    }

    /// How a learner signs in; whoever has no password chooses one by a link that lives until then.
    fn way_in(&self, client: &Client, learner: &Learner, until: Timestamp) -> WayIn {
        match &learner.credential {
            None => {
                let (url, until) = self.password_link(client, learner, until);
                WayIn::Link(url, until)
            }
            Some(credential) if credential.must_change => {
                let serial = learner.password_serial;
                let id = learner.learner_id;
                WayIn::Password(Password::generated(&self.keys, &client.client_id, id, serial))
            }
            Some(_) => WayIn::Own,
        }
    }

    fn to_learner(
        &self,
        client: &Client,
        learner: &Learner,
        says: Saying,
        seat: Option<&Seat>,
        audience: Audience,
        now: Timestamp,
    ) -> Result<Rendered, Unwritable> {
        let ends_at = seat.and_then(|seat| seat.ends_at);
        let goes_back = seat.and_then(|seat| seat.reclaim).map(|reclaim| reclaim.at);
        let until = goes_back
            .filter(|_| says == Saying::SeatUnused)
            .map_or(now + PASSWORD_LINK_LIFETIME, |at| at.max(now + PASSWORD_LINK_LIFETIME));
        let way_in = match says {
            Saying::PasswordReset => {
                let (url, until) = self.password_link(client, learner, until);
                WayIn::Link(url, until)
            }
            _ => self.way_in(client, learner, until),
        };
        let way_in = match way_in {
            // A generated password is mailed once: with the seat that made the account.
            WayIn::Password(_)
                if says == Saying::AccessOpened
                    && seat.is_some_and(|seat| !made_account(seat, learner)) =>
            {
                WayIn::Own
            }
            way_in => way_in,
        };
        let link = |url, expires_on| Link { url, expires_on };
        // What is true now is said, not what was true when the mail came to be owed.
        let kind = match (says, &way_in) {
            (Saying::PasswordReset, WayIn::Link(url, until)) => {
                LetterKind::PasswordReset(link(url, *until))
            }
            (Saying::AccessOpened, WayIn::Link(url, until)) => {
                LetterKind::AccessOpened(FirstSignIn::Link(link(url, *until)))
            }
            (Saying::AccessOpened, WayIn::Password(password)) => {
                LetterKind::AccessOpened(FirstSignIn::Password(password.reveal()))
            }
            (Saying::AccessOpened, WayIn::Own) => LetterKind::AccessOpened(FirstSignIn::AsUsual),
            (Saying::Redeemed, _) => LetterKind::Redeemed,
            (Saying::SeatUnused, way_in) => {
                let at = goes_back.ok_or_else(|| Unwritable("no warning".into()))?;
                let link = match way_in {
                    WayIn::Link(url, until) => Some(link(url, *until)),
                    WayIn::Password(_) | WayIn::Own => None,
                };
                LetterKind::SeatUnused { until: last_day(at, client), link }
            }
            (Saying::AccountCreatedToldOtherwise, _) => LetterKind::AccountCreated,
            (Saying::AccountCreatedWithPassword, WayIn::Password(password)) => {
                LetterKind::AccountCreatedPassword { password: password.reveal() }
            }
            (Saying::Added, WayIn::Link(url, until)) => LetterKind::Added(Some(link(url, *until))),
            (_, WayIn::Link(url, until)) => LetterKind::AccountCreatedLink(link(url, *until)),
            _ => LetterKind::Added(None),
        };
        let end_on = learner.profile.end_on.or_else(|| Some(last_day(ends_at?, client)));
        let language = learner.profile.language.as_ref().map(Language::as_str);
        let letter = Letter {
            first_name: learner.profile.first_name.as_deref(),
            access_until: end_on,
            ..blank(kind, client, learner.email.as_str(), audience)
        };
        rendered(&letter, language, client)
    }

    fn with_code(
        &self,
        client: &Client,
        batch: &Batch,
        code: &Code,
        to: &EmailAddress,
        audience: Audience,
    ) -> Result<Rendered, Unwritable> {
        let code = code.to_string();
        let url = format!("{}/{}/{code}", self.page_base_url, client.client_id);
        let redeem_until = batch.valid_until.map(|until| last_day(until, client));
        let kind = LetterKind::CodeSent { code: &code, url: &url, redeem_until };
        let letter = blank(kind, client, to.as_str(), audience);
        rendered(&letter, batch.language.as_ref().map(Language::as_str), client)
    }

    fn to_invited(
        &self,
        client: &Client,
        invitation: &Invitation,
        audience: Audience,
        again: bool,
    ) -> Result<Rendered, Unwritable> {
        let url = self.url(&PersonalLink::Invitation {
            client: client.client_id.clone(),
            invitation: invitation.invitation_id,
            version: invitation.version,
        });
        let expires_on = last_day(invitation.expires_at, client);
        let link = Link { url: &url, expires_on };
        let unsubscribe_url = format!("{url}/unsubscribe");
        let kind = if invitation.redeems.is_some() {
            LetterKind::AddressProof(link)
        } else if again {
            LetterKind::Reminder { link, unsubscribe_url: &unsubscribe_url }
        } else {
            LetterKind::Invitation(link)
        };
        let language = invitation.grant.language.as_ref().map(Language::as_str);
        let letter = Letter {
            inviter: invitation.inviter.as_deref(),
            message: invitation.message.as_deref().filter(|_| !again),
            access_until: invitation.grant.end_on,
            ..blank(kind, client, invitation.email.as_str(), audience)
        };
        rendered(&letter, language, client)
    }
}

impl Writer for LetterWriter {
    fn write(
        &self,
        client: &Client,
        about: About<'_>,
        reader: Audience,
        now: Timestamp,
    ) -> Result<WrittenMail, Unwritable> {
        let Rendered { subject, text, html, from_name, unsubscribe_url } = match about {
            About::Seat { learner, seat, letter } => {
                self.to_learner(client, learner, letter, Some(seat), reader, now)
            }
            About::Account { learner, letter } => {
                self.to_learner(client, learner, letter, None, reader, now)
            }
            About::Invitation(invitation) => self.to_invited(client, invitation, reader, false),
            About::Reminder(invitation) => self.to_invited(client, invitation, reader, true),
            About::Import { run, to } => to_uploader(client, run, to.as_str(), reader),
            About::Code { batch, code, to } => self.with_code(client, batch, code, to, reader),
            About::StockLow { contract, left, empty_on, to } => {
                let kind = LetterKind::StockLow {
                    contract: &contract.reference,
                    available: left.available,
                    total: left.total,
                    empty_on,
                };
                warning(client, kind, to, reader)
            }
            About::ContractEnding { contract, left, open, to } => {
                let ends_on = contract.ends_on.ok_or_else(|| Unwritable("no last day".into()))?;
                let kind = LetterKind::ContractEnding {
                    contract: &contract.reference,
                    ends_on,
                    stops_access: contract.policies.on_end != OnEnd::StopNew,
                    access_until: contract.access_ends_on().filter(|last| *last > ends_on),
                    used: left.used,
                    total: left.total,
                    invitations: open.invitations,
                    at_least: open.at_least,
                    scheduled: open.scheduled,
                };
                warning(client, kind, to, reader)
            }
            About::Erasure { on, to } => warning(client, LetterKind::Erasure { on }, to, reader),
        }?;
        Ok(WrittenMail { from_name, subject, text, html, unsubscribe_url })
    }
}

/// A warning, in the language of whoever looks after the contract.
fn warning(
    client: &Client,
    kind: LetterKind<'_>,
    to: &AlertRecipient,
    audience: Audience,
) -> Result<Rendered, Unwritable> {
    let letter = blank(kind, client, to.email.as_str(), audience);
    rendered(&letter, to.language.as_ref().map(Language::as_str), client)
}

/// What became of a file, in the language its uploader had then.
fn to_uploader(
    client: &Client,
    run: &ImportRun,
    email: &str,
    audience: Audience,
) -> Result<Rendered, Unwritable> {
    let totals = &run.totals;
    let file = run.filename.as_deref();
    let ending = match run.status {
        ImportStatus::Rejected => ImportEnding::Rejected,
        ImportStatus::Refused => ImportEnding::Refused,
        _ => ImportEnding::Completed,
    };
    let news = ImportNews {
        file: file.unwrap_or_else(|| run.source.key.rsplit('/').next().unwrap_or_default()),
        ending,
        has_report: run.report_key.is_some(),
        rows: run.rows_total.into(),
        created: totals.created.into(),
        invited: totals.invited.into(),
        scheduled: totals.scheduled.into(),
        updated: totals.updated.into(),
        skipped: totals.skipped.into(),
        failed: (totals.failed + totals.not_seated).into(),
    };
    let letter = blank(LetterKind::ImportFinished(news), client, email, audience);
    rendered(&letter, Some(run.language.as_str()), client)
}

/// Whether an account was made with this seat, as far as its mails tell. One that was carried over from a
/// contract before, or moved to another day, is the first that anybody was told of if no mail went out yet.
fn made_account(seat: &Seat, learner: &Learner) -> bool {
    learner.delivery.is_none() || seat.held_at == Some(learner.created_at)
}

/// The last local day before an instant at which something ends.
fn last_day(ends_at: Timestamp, client: &Client) -> Date {
    local_date(ends_at - SignedDuration::from_secs(1), client.time_zone.zone())
}

fn blank<'a>(
    kind: LetterKind<'a>,
    client: &'a Client,
    email: &'a str,
    audience: Audience,
) -> Letter<'a> {
    Letter {
        kind,
        brand: Brand {
            name: &client.name,
            color: client.branding.color.unwrap_or(Color::DEFAULT),
            logo_url: client.branding.logo_url.as_ref().map(HttpsUrl::as_str),
            from_name: client.branding.from_name.as_deref(),
        },
        email,
        first_name: None,
        inviter: None,
        message: None,
        access_until: None,
        sign_in_url: client.launch_url.as_str(),
        reader: match audience {
            Audience::Learner => Reader::Learner,
            Audience::Administrator => Reader::CopyToAdministrator,
        },
    }
}

fn rendered(
    letter: &Letter<'_>,
    language: Option<&str>,
    client: &Client,
) -> Result<Rendered, Unwritable> {
    let language = resolve_language(language, client.default_language.as_str());
    render(letter, language).map_err(|error| Unwritable(error.into()))
}
