//! The words of the pages: one table per language; a missing one fails the build.
//!
//! Words in braces are filled in by [`fill`].

pub(super) mod de;
pub(super) mod en;
pub(super) mod es;
pub(super) mod fr;

use jiff::civil::Date;

/// All words of the pages in one language.
pub(super) struct Texts {
    /// The names of the months.
    pub(super) months: [&'static str; 12],
    /// A date, of `{day}`, `{month}` and `{year}`.
    pub(super) date: &'static str,
    /// How the first day of a month is written.
    pub(super) first_day: &'static str,
    /// The name of the list of languages, for screen readers.
    pub(super) languages: &'static str,
    /// In front of a title when the form has errors.
    pub(super) error_prefix: &'static str,
    /// Over the list of errors.
    pub(super) error_summary: &'static str,
    /// In place of the client's name where there is no client.
    pub(super) some_client: &'static str,
    /// The button of notices that lead to the client's own site.
    pub(super) go_to_client: &'static str,
    pub(super) fields: FieldTexts,
    pub(super) errors: ErrorTexts,
    pub(super) invitation: InvitationTexts,
    pub(super) landing: LandingTexts,
    pub(super) proof: ProofTexts,
    pub(super) set_password: SetPasswordTexts,
    pub(super) stop_reminders: StopRemindersTexts,
    pub(super) sheet: SheetTexts,
    pub(super) notices: NoticeTexts,
}

/// Labels and hints.
pub(super) struct FieldTexts {
    pub(super) code: &'static str,
    pub(super) code_hint: &'static str,
    pub(super) email: &'static str,
    pub(super) first_name: &'static str,
    pub(super) last_name: &'static str,
    pub(super) password: &'static str,
    pub(super) new_password: &'static str,
    /// With `{min}`.
    pub(super) password_hint: &'static str,
    /// Beside the emptied password of a form with other errors.
    pub(super) password_again: &'static str,
    /// Where someone may have an account already; with `{min}`.
    pub(super) password_hint_existing: &'static str,
    /// Beside a password that is hidden.
    pub(super) show_password: &'static str,
    /// Beside a password that is shown.
    pub(super) hide_password: &'static str,
    /// While a password is too short; with `{left}`.
    pub(super) password_more: &'static str,
    /// Once it is long enough.
    pub(super) password_enough: &'static str,
}

/// What is wrong with a field and how to mend it.
pub(super) struct ErrorTexts {
    pub(super) code_missing: &'static str,
    pub(super) code_refused: &'static str,
    pub(super) code_mistyped: &'static str,
    pub(super) email_missing: &'static str,
    pub(super) email_invalid: &'static str,
    pub(super) first_name_missing: &'static str,
    pub(super) last_name_missing: &'static str,
    pub(super) password_missing: &'static str,
    /// With `{min}`.
    pub(super) password_weak: &'static str,
    pub(super) password_wrong: &'static str,
    pub(super) too_long: &'static str,
    pub(super) other: &'static str,
}

/// The invitation page.
pub(super) struct InvitationTexts {
    pub(super) title: &'static str,
    /// With `{inviter}` and `{client}`.
    pub(super) intro_by: &'static str,
    /// With `{client}`.
    pub(super) intro: &'static str,
    /// With `{date}`.
    pub(super) valid_until: &'static str,
    pub(super) submit: &'static str,
    pub(super) decline_intro: &'static str,
    pub(super) decline: &'static str,
}

/// The landing page.
pub(super) struct LandingTexts {
    pub(super) title: &'static str,
    /// With `{client}`.
    pub(super) intro: &'static str,
    /// For those who have an account.
    pub(super) existing: &'static str,
    pub(super) submit: &'static str,
}

/// The page on which an address is proven.
pub(super) struct ProofTexts {
    pub(super) title: &'static str,
    /// With `{client}`.
    pub(super) intro: &'static str,
    pub(super) lasts: &'static str,
    pub(super) submit: &'static str,
    pub(super) decline_intro: &'static str,
    pub(super) decline: &'static str,
}

/// The page to choose a password.
pub(super) struct SetPasswordTexts {
    pub(super) title: &'static str,
    /// With `{client}`.
    pub(super) intro: &'static str,
    pub(super) submit: &'static str,
}

/// The page on which reminders are stopped.
pub(super) struct StopRemindersTexts {
    pub(super) title: &'static str,
    /// With `{client}`.
    pub(super) intro: &'static str,
    pub(super) submit: &'static str,
}

/// The sheet of codes, for print.
pub(super) struct SheetTexts {
    /// With `{label}`.
    pub(super) title: &'static str,
    /// With `{first}`, `{last}` and `{count}`.
    pub(super) range: &'static str,
    /// With `{client}`.
    pub(super) card: &'static str,
    /// How to redeem: with `{page}`.
    pub(super) how: &'static str,
    /// With `{date}`.
    pub(super) valid_until: &'static str,
    /// Beside a code that was redeemed.
    pub(super) redeemed: &'static str,
}

/// A notice: what happened and what to do. Both may have `{client}`.
pub(super) struct NoticeText {
    pub(super) title: &'static str,
    pub(super) what: &'static str,
    pub(super) todo: &'static str,
}

/// The notices, named like the variants of [`super::Notice`].
pub(super) struct NoticeTexts {
    pub(super) invitation_expired: NoticeText,
    pub(super) invitation_cancelled: NoticeText,
    pub(super) invitation_declined: NoticeText,
    pub(super) invitation_already_accepted: NoticeText,
    pub(super) reminders_stopped: NoticeText,
    pub(super) proof_sent: NoticeText,
    pub(super) proof_expired: NoticeText,
    pub(super) proof_closed: NoticeText,
    pub(super) proof_declined: NoticeText,
    pub(super) proof_done: NoticeText,
    pub(super) link_gone: NoticeText,
    pub(super) unknown_link: NoticeText,
    pub(super) password_link_gone: NoticeText,
    pub(super) access_suspended: NoticeText,
    pub(super) access_ended: NoticeText,
    pub(super) password_set: NoticeText,
    pub(super) no_seats_left: NoticeText,
    pub(super) contract_ended: NoticeText,
    pub(super) code_not_redeemable: NoticeText,
    /// `todo` with `{minutes}`.
    pub(super) too_many_tries: NoticeText,
    pub(super) unavailable: NoticeText,
    pub(super) failure: NoticeText,
}

impl Texts {
    /// A date as the language writes it.
    pub(super) fn date(&self, date: Date) -> String {
        let month = usize::try_from(date.month() - 1).ok().and_then(|at| self.months.get(at));
        let day = date.day().to_string();
        let day = if date.day() == 1 { self.first_day } else { &day };
        let month = month.copied().unwrap_or_default();
        let year = date.year().to_string();
        fill(self.date, &[("day", day), ("month", month), ("year", &year)])
    }
}

/// Puts values in the place of names in braces, in one pass: braces in a value stay as they are,
/// and so does a name that has no value.
pub(super) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let named = after.split_once('}');
        let found = named.and_then(|(name, behind)| {
            let value = values.iter().find(|(known, _)| *known == name)?;
            Some((value.1, behind))
        });
        if let Some((value, behind)) = found {
            out.push_str(value);
            rest = behind;
        } else {
            out.push('{');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn filling_is_one_pass() {
        let values = [("a", "{b}"), ("b", "x")];
        assert_eq!(fill("{a} {b} {c} { {b", &values), "{b} x {c} { {b");
    }

    #[test]
    fn dates_are_written_as_the_language_does() {
        assert_eq!(en::TEXTS.date(date(2026, 12, 1)), "December\u{a0}1, 2026");
        assert_eq!(fr::TEXTS.date(date(2027, 8, 1)), "1er\u{a0}août 2027");
        assert_eq!(fr::TEXTS.date(date(2027, 8, 12)), "12\u{a0}août 2027");
        assert_eq!(de::TEXTS.date(date(2027, 3, 1)), "1.\u{a0}März 2027");
        assert_eq!(es::TEXTS.date(date(2027, 8, 1)), "1 de\u{a0}agosto de\u{a0}2027");
    }
}
