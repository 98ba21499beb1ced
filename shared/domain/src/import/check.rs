//! A row against the rules: every value parsed, every error collected.

use std::borrow::Cow;
use std::fmt;

use jiff::ToSpan as _;
use jiff::civil::Date;

use super::list::{parts, push_once};
use super::{
    Cell, Field, RawRow, RowError, RowErrorCode, RowRules, fold_name, parse_date,
    parse_duration_days, parse_notify,
};
use crate::email::{EmailAddress, InvalidEmail};
use crate::ids::GroupId;
use crate::import_run::Mode;
use crate::language::Language;
use crate::password::Password;
use crate::role::Role;

/// Most characters of a new group's name.
const GROUP_NAME_MAX: usize = 200;

/// A row whose values are parsed and whose errors are known.
///
/// `Debug` shows the line and the errors, never a value.
#[derive(Clone)]
pub struct CheckedRow {
    /// The sheet's own line.
    pub line: u32,
    /// The normalized address; `None` when it is missing or invalid.
    pub email: Option<EmailAddress>,
    /// What the row gives; what is invalid is left out.
    pub values: RowValues,
    /// Everything wrong with it, from the leftmost field of [`Field::ALL`] on; dates last.
    pub errors: Vec<RowError>,
}

/// The values that a row gives. The import's defaults are not in it.
#[derive(Clone, Default)]
pub struct RowValues {
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Language.
    pub language: Option<Language>,
    /// Groups; empty when none are given.
    pub groups: Vec<GroupChoice>,
    /// Labels; empty when none are given.
    pub labels: Vec<String>,
    /// Roles; empty when none are given.
    pub roles: Vec<Role>,
    /// First day, never before today or the contract.
    pub start_on: Option<Date>,
    /// Days from the first to the last.
    pub duration_days: Option<u32>,
    /// Last day.
    pub end_on: Option<Date>,
    /// Day of deletion.
    pub delete_on: Option<Date>,
    /// Password.
    pub password: Option<Password>,
    /// Whether a mail is sent.
    pub notify: Option<bool>,
    /// The client's own identifier.
    pub external_id: Option<String>,
    /// Free text.
    pub additional_info: Option<String>,
}

/// A group that a row names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupChoice {
    /// One that exists.
    Existing(GroupId),
    /// One to make, by its name as typed.
    New(String),
}

impl fmt::Debug for CheckedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedRow")
            .field("line", &self.line)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RowValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowValues").finish_non_exhaustive()
    }
}

/// Checks a row. All its errors are given, not the first.
pub fn check_row(row: &RawRow, rules: &RowRules) -> CheckedRow {
    let mut check = Check { row, rules, errors: Vec::new() };
    let email = check.email();
    let mut values = RowValues {
        first_name: check.text(Field::FirstName),
        last_name: check.text(Field::LastName),
        language: check.language(),
        groups: check.groups(),
        labels: check.labels(),
        roles: check.roles(),
        password: check.password(),
        notify: check.notify(),
        external_id: check.text(Field::ExternalId),
        additional_info: check.text(Field::AdditionalInfo),
        ..RowValues::default()
    };
    check.term(&mut values);
    CheckedRow { line: row.line, email, values, errors: check.errors }
}

/// A check under way.
struct Check<'a> {
    row: &'a RawRow,
    rules: &'a RowRules,
    errors: Vec<RowError>,
}

impl<'a> Check<'a> {
    fn refuse(&mut self, column: Field, code: RowErrorCode) {
        self.errors.push(RowError { column, code });
    }

    /// The cell's text; `None` when it is blank, or with an error `code` when it is an error cell.
    fn given(&mut self, column: Field, code: RowErrorCode) -> Option<Cow<'a, str>> {
        let cell = &self.row.cells[column];
        if *cell == Cell::Error {
            self.refuse(column, code);
        }
        cell.as_text()
    }

    fn email(&mut self) -> Option<EmailAddress> {
        let cell = &self.row.cells[Field::Email];
        let parsed = match cell.as_text() {
            Some(text) => EmailAddress::parse(&text),
            None if cell.is_blank() => Err(InvalidEmail::Missing),
            None => Err(InvalidEmail::Form),
        };
        parsed
            .map_err(|invalid| {
                self.refuse(
                    Field::Email,
                    match invalid {
                        InvalidEmail::Missing => RowErrorCode::MissingEmail,
                        InvalidEmail::Form => RowErrorCode::InvalidEmail,
                    },
                );
            })
            .ok()
    }

    fn text(&mut self, column: Field) -> Option<String> {
        self.given(column, RowErrorCode::InvalidCell).map(Cow::into_owned)
    }

    /// Parses a single value, with `code` for what cannot be parsed and for error cells.
    fn scalar<T>(
        &mut self,
        column: Field,
        code: RowErrorCode,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.given(column, code)?;
        let value = parse(&text);
        if value.is_none() {
            self.refuse(column, code);
        }
        value
    }

    fn language(&mut self) -> Option<Language> {
        let languages = &self.rules.languages;
        self.scalar(Field::Language, RowErrorCode::UnknownLanguage, |tag| languages.parse(tag).ok())
    }

    fn notify(&mut self) -> Option<bool> {
        if let Cell::Bool(answer) = self.row.cells[Field::Notify] {
            return Some(answer);
        }
        self.scalar(Field::Notify, RowErrorCode::InvalidNotify, parse_notify)
    }

    fn password(&mut self) -> Option<Password> {
        let policy = self.rules.passwords;
        if self.row.cells[Field::Password].is_blank() {
            return None;
        }
        if self.rules.mode == Mode::Invite {
            self.refuse(Field::Password, RowErrorCode::PasswordNotAllowed);
            return None;
        }
        if self.row.cells[Field::Password] == Cell::Error {
            self.refuse(Field::Password, RowErrorCode::InvalidCell);
            return None;
        }
        self.scalar(Field::Password, RowErrorCode::WeakPassword, |text| policy.check(text).ok())
    }

    /// Several values: one error for the cell, whatever the number of parts that are wrong.
    fn several<T: PartialEq>(
        &mut self,
        column: Field,
        code: RowErrorCode,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let mut values = Vec::new();
        let Some(text) = self.given(column, code) else {
            return values;
        };
        let mut wrong = false;
        for part in parts(&text) {
            match parse(part) {
                Some(value) => push_once(&mut values, value),
                None => wrong = true,
            }
        }
        if wrong {
            self.refuse(column, code);
        }
        values
    }

    fn groups(&mut self) -> Vec<GroupChoice> {
        let rules = self.rules;
        let mut groups = self.several(Field::Groups, RowErrorCode::UnknownGroup, |name| {
            match rules.groups.find(name) {
                Some(id) => Some(GroupChoice::Existing(id)),
                // An id that nobody has is no name for a new group.
                None if rules.create_groups && can_be_made(name) => {
                    Some(GroupChoice::New(name.to_owned()))
                }
                None => None,
            }
        });
        if rules.create_groups {
            keep_first_spelling(&mut groups);
        }
        groups
    }

    fn labels(&mut self) -> Vec<String> {
        self.several(Field::Labels, RowErrorCode::InvalidCell, |label| Some(label.to_owned()))
    }

    fn roles(&mut self) -> Vec<Role> {
        let grantable = &self.rules.grantable;
        self.several(Field::Roles, RowErrorCode::RoleNotAllowed, |name| {
            name.parse().ok().filter(|role| grantable.contains(role))
        })
    }

    fn date(&mut self, column: Field) -> Option<Date> {
        if let Cell::Date(date) = self.row.cells[column] {
            return Some(date);
        }
        // The digits of a number cell are no date: a day without its format could be anything.
        if let Cell::Number(_) = self.row.cells[column] {
            self.refuse(column, RowErrorCode::InvalidDate);
            return None;
        }
        let order = self.rules.date_order;
        self.scalar(column, RowErrorCode::InvalidDate, |text| parse_date(text, order))
    }

    /// First day, last day, duration and deletion, and how they stand to each other.
    fn term(&mut self, values: &mut RowValues) {
        values.start_on = self.start_on();
        values.duration_days =
            self.scalar(Field::DurationDays, RowErrorCode::InvalidDuration, parse_duration_days);
        let ends_given = !self.row.cells[Field::EndOn].is_blank();
        let lasts_given = !self.row.cells[Field::DurationDays].is_blank();
        if ends_given && lasts_given {
            self.refuse(Field::EndOn, RowErrorCode::ConflictingEnd);
        }

        let RowRules { today, window, defaults, .. } = *self.rules;
        let earliest = window.earliest(today);
        let start = values.start_on.or(defaults.start_on).map_or(earliest, |day| day.max(earliest));
        values.end_on = self.end_on(start);
        if !ends_given
            && !lasts_given
            && values.start_on.is_some()
            && defaults.end_on.is_some_and(|end| end < start)
        {
            self.refuse(Field::StartOn, RowErrorCode::EndBeforeStart);
        }
        let (end, days) = if ends_given || lasts_given {
            (values.end_on, values.duration_days)
        } else {
            (defaults.end_on, defaults.duration_days)
        };
        let last_day = end.or_else(|| days.and_then(|days| last_day(start, days))).unwrap_or(start);
        values.delete_on = self.delete_on(last_day);
        let deleted = defaults.delete_on.filter(|_| self.row.cells[Field::DeleteOn].is_blank());
        if deleted.is_some_and(|day| day < last_day) {
            self.outlasts_deletion(values);
        }
    }

    /// The import's day of deletion comes before what the row says itself ends.
    fn outlasts_deletion(&mut self, values: &RowValues) {
        let own = [
            (Field::EndOn, values.end_on.is_some()),
            (Field::DurationDays, values.duration_days.is_some()),
            (Field::StartOn, values.start_on.is_some()),
        ];
        let own = own.into_iter().find(|(_, given)| *given);
        let error = own.map(|(column, _)| RowError { column, code: RowErrorCode::EndBeforeStart });
        if let Some(error) = error.filter(|error| !self.errors.contains(error)) {
            self.errors.push(error);
        }
    }

    /// A start that is past or before the contract means the earliest day there is.
    fn start_on(&mut self) -> Option<Date> {
        let day = self.date(Field::StartOn)?;
        let day = day.max(self.rules.window.earliest(self.rules.today));
        self.require(Field::StartOn, day, RowErrorCode::OutsideContract, |rules| {
            rules.window.has_not_ended(day)
        })
    }

    fn end_on(&mut self, start: Date) -> Option<Date> {
        let day = self.date(Field::EndOn)?;
        let day = self.require(Field::EndOn, day, RowErrorCode::OutsideContract, |rules| {
            rules.window.has_not_ended(day)
        })?;
        self.require(Field::EndOn, day, RowErrorCode::EndBeforeStart, |_| start <= day)
    }

    fn delete_on(&mut self, last_day: Date) -> Option<Date> {
        let day = self.date(Field::DeleteOn)?;
        self.require(Field::DeleteOn, day, RowErrorCode::EndBeforeStart, |_| last_day <= day)
    }

    /// The day if it is `good`, else an error.
    fn require(
        &mut self,
        column: Field,
        day: Date,
        code: RowErrorCode,
        good: impl FnOnce(&RowRules) -> bool,
    ) -> Option<Date> {
        if good(self.rules) {
            return Some(day);
        }
        self.refuse(column, code);
        None
    }
}

/// The last of `days` days from `start` on; `None` beyond the calendar's end.
fn last_day(start: Date, days: u32) -> Option<Date> {
    start.checked_add(i64::from(days.saturating_sub(1)).days()).ok()
}

/// Whether a new group can have this name: as long as the API allows, and no id.
fn can_be_made(name: &str) -> bool {
    name.chars().count() <= GROUP_NAME_MAX && name.parse::<GroupId>().is_err()
}

/// Drops a new group's other spellings: `Ventes` and `ventes` are one group.
fn keep_first_spelling(groups: &mut Vec<GroupChoice>) {
    let mut names = Vec::new();
    groups.retain(|group| match group {
        GroupChoice::Existing(_) => true,
        GroupChoice::New(name) => {
            let folded = fold_name(name);
            let first = !names.contains(&folded);
            names.push(folded);
            first
        }
    });
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::import::{DateOrder, Judge, Judgment, TermDefaults, Window};
    use crate::import_run::{OnExisting, Verdict};
    use crate::language::Languages;
    use crate::password::PasswordPolicy;

    const PARIS: u128 = 1;

    fn rules() -> RowRules {
        RowRules {
            today: date(2026, 11, 23),
            window: Window { starts_on: Some(date(2026, 1, 1)), ends_on: Some(date(2028, 12, 31)) },
            languages: Languages::from_list("en,fr"),
            groups: [(GroupId::from_bits(PARIS), "Paris")].into_iter().collect(),
            create_groups: false,
            grantable: [Role::Learner].into(),
            passwords: PasswordPolicy::default(),
            mode: Mode::Create,
            date_order: DateOrder::Dmy,
            defaults: TermDefaults::default(),
        }
    }

    fn row<const N: usize>(cells: [(Field, &str); N]) -> RawRow {
        let mut row = RawRow {
            line: 2,
            hidden: false,
            cells: crate::import::Cells::default(),
            ignored: vec![],
        };
        row.cells[Field::Email] = Cell::Text("a@example.fr".to_owned());
        for (field, text) in cells {
            row.cells[field] = Cell::Text(text.to_owned());
        }
        row
    }

    fn errors_under(rules: &RowRules, row: &RawRow) -> Vec<String> {
        check_row(row, rules).errors.iter().map(ToString::to_string).collect()
    }

    fn errors<const N: usize>(cells: [(Field, &str); N]) -> Vec<String> {
        errors_under(&rules(), &row(cells))
    }

    #[test]
    fn every_error_of_a_row_is_given() {
        let found = errors([
            (Field::Email, "nobody"),
            (Field::Language, "klingon"),
            (Field::Groups, "Paris|Lyon|Nice"),
            (Field::Roles, "client_admin"),
            (Field::Password, "123"),
            (Field::Notify, "perhaps"),
            (Field::StartOn, "31/02/2027"),
            (Field::DurationDays, "0"),
        ]);
        assert_eq!(
            found,
            [
                "email: invalid-email",
                "language: unknown-language",
                "groups: unknown-group",
                "roles: role-not-allowed",
                "password: weak-password",
                "notify: invalid-notify",
                "start_on: invalid-date",
                "duration_days: invalid-duration",
            ]
        );
    }

    #[test]
    fn a_past_start_is_today_and_the_contracts_first_and_last_day_count() {
        let start = |text| check_row(&row([(Field::StartOn, text)]), &rules()).values.start_on;
        assert_eq!(start("2025-06-01"), Some(date(2026, 11, 23)));
        assert_eq!(start("2028-12-31"), Some(date(2028, 12, 31)));
        assert_eq!(errors([(Field::StartOn, "2029-01-01")]), ["start_on: outside-contract"]);
        let mut later = rules();
        later.window.starts_on = Some(date(2027, 1, 1));
        for early in ["2025-06-01", "2026-12-31", "2027-01-01"] {
            let checked = check_row(&row([(Field::StartOn, early)]), &later);
            assert_eq!(checked.values.start_on, Some(date(2027, 1, 1)), "{early}");
        }
    }

    #[test]
    fn an_end_lies_in_the_contract_and_not_before_the_start_or_today() {
        assert_eq!(errors([(Field::EndOn, "2029-01-01")]), ["end_on: outside-contract"]);
        assert_eq!(errors([(Field::EndOn, "2026-11-22")]), ["end_on: end-before-start"]);
        let around = [(Field::StartOn, "2027-02-01"), (Field::EndOn, "2027-01-31")];
        assert_eq!(errors(around), ["end_on: end-before-start"]);
        assert!(errors([(Field::EndOn, "2028-12-31")]).is_empty());
        let both = [(Field::EndOn, "2027-12-31"), (Field::DurationDays, "30")];
        assert_eq!(errors(both), ["end_on: conflicting-end"]);
    }

    #[test]
    fn a_deletion_may_lie_after_the_contract_but_not_before_the_end() {
        assert!(errors([(Field::DeleteOn, "2031-01-01")]).is_empty());
        let early = [(Field::EndOn, "2027-06-30"), (Field::DeleteOn, "2027-06-29")];
        assert_eq!(errors(early), ["delete_on: end-before-start"]);
        let lasting = |delete| {
            errors([
                (Field::StartOn, "2027-01-01"),
                (Field::DurationDays, "31"),
                (Field::DeleteOn, delete),
            ])
        };
        assert!(lasting("2027-01-31").is_empty());
        assert_eq!(lasting("2027-01-30"), ["delete_on: end-before-start"]);
    }

    #[test]
    fn the_imports_dates_stand_in_for_missing_ones() {
        let mut rules = rules();
        rules.defaults.start_on = Some(date(2027, 3, 1));
        let early = row([(Field::EndOn, "2027-02-28")]);
        assert_eq!(errors_under(&rules, &early), ["end_on: end-before-start"]);
        rules.defaults.end_on = Some(date(2027, 6, 30));
        let late = row([(Field::StartOn, "2027-07-01")]);
        assert_eq!(errors_under(&rules, &late), ["start_on: end-before-start"]);
        let own = row([(Field::StartOn, "2027-07-01"), (Field::DurationDays, "30")]);
        assert!(errors_under(&rules, &own).is_empty());
    }

    #[test]
    fn what_a_row_says_does_not_outlast_the_imports_day_of_deletion() {
        let mut rules = rules();
        rules.defaults.delete_on = Some(date(2027, 6, 30));
        for mode in [Mode::Create, Mode::Invite] {
            rules.mode = mode;
            let of = |field, text| errors_under(&rules, &row([(field, text)]));
            assert_eq!(of(Field::EndOn, "2027-07-01"), ["end_on: end-before-start"]);
            assert_eq!(of(Field::DurationDays, "300"), ["duration_days: end-before-start"]);
            assert_eq!(of(Field::StartOn, "2027-07-01"), ["start_on: end-before-start"]);
            for field in [Field::EndOn, Field::StartOn] {
                assert!(of(field, "2027-06-30").is_empty(), "{field}");
            }
            let own = row([(Field::EndOn, "2027-07-01"), (Field::DeleteOn, "2027-07-01")]);
            assert!(errors_under(&rules, &own).is_empty());
            let wrong = of(Field::EndOn, "soon");
            assert_eq!(wrong, ["end_on: invalid-date"]);
        }
        rules.defaults.end_on = Some(date(2027, 6, 30));
        let late = errors_under(&rules, &row([(Field::StartOn, "2027-07-02")]));
        assert_eq!(late, ["start_on: end-before-start"], "once");
    }

    #[test]
    fn groups_are_found_once_or_made_on_request() {
        let cell = row([(Field::Groups, "paris; Ventes |PARIS|ventes")]);
        assert_eq!(errors_under(&rules(), &cell), ["groups: unknown-group"]);
        let creating = RowRules { create_groups: true, ..rules() };
        let checked = check_row(&cell, &creating);
        let paris = GroupChoice::Existing(GroupId::from_bits(PARIS));
        assert_eq!(checked.values.groups, [paris, GroupChoice::New("Ventes".to_owned())]);
        let foreign = row([(Field::Groups, &GroupId::from_bits(9).to_string())]);
        assert_eq!(errors_under(&creating, &foreign), ["groups: unknown-group"]);
    }

    #[test]
    fn cells_of_a_kind_are_read_as_that_kind() {
        let mut typed = row([]);
        typed.cells[Field::Notify] = Cell::Bool(false);
        typed.cells[Field::ExternalId] = Cell::Number("123".to_owned());
        typed.cells[Field::EndOn] = Cell::Date(date(2027, 9, 30));
        typed.cells[Field::StartOn] = Cell::Number("46447".to_owned());
        typed.cells[Field::FirstName] = Cell::Error;
        typed.cells[Field::Email] = Cell::Error;
        let checked = check_row(&typed, &rules());
        assert_eq!(checked.values.notify, Some(false));
        assert_eq!(checked.values.external_id.as_deref(), Some("123"));
        assert_eq!(checked.values.end_on, Some(date(2027, 9, 30)));
        let codes: Vec<_> = checked.errors.iter().map(ToString::to_string).collect();
        let expected =
            ["email: invalid-email", "first_name: invalid-cell", "start_on: invalid-date"];
        assert_eq!(codes, expected);
    }

    #[test]
    fn an_invitation_carries_no_password_and_none_is_shown() {
        let cell = row([(Field::Password, "Vert-Lagune-47-Orchidee!")]);
        let checked = check_row(&cell, &rules());
        assert!(checked.values.password.is_some());
        assert!(!format!("{cell:?}{checked:?}{:?}", checked.values).contains("Lagune"));
        let inviting = RowRules { mode: Mode::Invite, ..rules() };
        assert_eq!(errors_under(&inviting, &cell), ["password: password-not-allowed"]);
    }

    #[test]
    fn verdicts_go_invalid_duplicate_existing_valid() {
        let check = |line, email| {
            let mut raw = row([(Field::Email, email)]);
            raw.line = line;
            check_row(&raw, &rules())
        };
        let exists = |email: &EmailAddress| email.as_str() == "old@example.fr";
        let mut judge = Judge::new(OnExisting::Skip);
        let mut verdict = |line, email| judge.judge(&mut check(line, email), exists);
        let repeats = |line| Judgment { verdict: Verdict::Duplicate, duplicate_of: Some(line) };
        assert_eq!(verdict(2, "nobody"), Verdict::Invalid.into());
        assert_eq!(verdict(3, "new@example.fr"), Verdict::Valid.into());
        assert_eq!(verdict(4, "NEW@example.fr"), repeats(3));
        assert_eq!(verdict(5, "mailto:new@example.fr"), repeats(3));
        assert_eq!(verdict(6, "old@example.fr"), Verdict::Existing.into());
        assert_eq!(verdict(7, "old@example.fr"), repeats(6));

        let mut strict = Judge::new(OnExisting::Error);
        for line in [2, 3] {
            let mut row = check(line, "old@example.fr");
            assert_eq!(strict.judge(&mut row, exists), Verdict::Invalid.into());
            assert_eq!(row.errors.first().map(|e| e.code), Some(RowErrorCode::AlreadyExists));
        }
    }
}
