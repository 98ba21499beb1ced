//! How a dropped file wants to be imported, as its object's metadata says.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::actions::ground::Ground;
use crate::dates::local_date;
use crate::ids::{GroupId, SublicenseId};
use crate::import::{DateOrder, GroupDirectory, RowValues, TermDefaults, parse_date, parse_notify};
use crate::import_run::{ImportSettings, Mode, OnExisting, OnShortage};
use crate::language::Language;
use crate::ports::{Clock, Files, IdSource, Sheets, Unreadable};
use crate::role::Role;

use super::{ImportPorts, Importer, Stop};

/// What rows get that say nothing themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RowDefaults {
    /// First day.
    pub start_on: Option<Date>,
    /// Last day.
    pub end_on: Option<Date>,
    /// Days from the first to the last.
    pub duration_days: Option<u32>,
    /// Day of deletion.
    pub delete_on: Option<Date>,
    /// Roles.
    pub roles: BTreeSet<Role>,
    /// Groups.
    pub group_ids: BTreeSet<GroupId>,
    /// Labels.
    pub labels: BTreeSet<String>,
    /// Language.
    pub language: Option<Language>,
    /// Free text.
    pub additional_info: Option<String>,
    /// Whether a mail is sent.
    pub notify: Option<bool>,
    /// A personal message, for invitations.
    pub message: Option<String>,
    /// Whether accounts without a password get a generated one instead of a link.
    pub generate_password: bool,
}

impl RowDefaults {
    /// The defaults that an import was asked for with.
    pub fn of(settings: &ImportSettings) -> Self {
        serde_json::from_value(settings.defaults.clone()).unwrap_or_default()
    }

    /// The end of a row's seat: its own, by day or by duration, or else the import's.
    pub(super) fn end_of(&self, values: &RowValues) -> (Option<Date>, Option<u32>) {
        if values.end_on.is_some() || values.duration_days.is_some() {
            (values.end_on, values.duration_days)
        } else {
            (self.end_on, self.duration_days)
        }
    }

    /// The dates, as rows are checked against them.
    pub(super) fn term(&self) -> TermDefaults {
        let Self { start_on, end_on, duration_days, delete_on, .. } = *self;
        TermDefaults { start_on, end_on, duration_days, delete_on }
    }
}

/// Settings with the sublicense they name.
pub(super) struct DropSettings {
    pub(super) settings: ImportSettings,
    pub(super) sublicense_id: Option<SublicenseId>,
}

/// What a drop without metadata asks for.
pub(super) fn of_a_drop() -> ImportSettings {
    ImportSettings {
        mode: Mode::Create,
        on_existing: OnExisting::Skip,
        on_shortage: OnShortage::ValidOnly,
        auto_commit: true,
        create_groups: false,
        date_order: DateOrder::Dmy,
        defaults: Value::Object(serde_json::Map::new()),
    }
}

impl<P, F, S, C, I> Importer<'_, P, F, S, C, I>
where
    P: ImportPorts,
    F: Files,
    S: Sheets,
    C: Clock,
    I: IdSource,
{
    /// Reads the metadata of a drop. A value that says nothing known rejects the import with a
    /// code that names it; names that are not ours are nobody's business.
    pub(super) async fn settings(
        &self,
        ground: &Ground,
        metadata: &BTreeMap<String, String>,
        groups: &GroupDirectory,
    ) -> Result<DropSettings, Stop> {
        let given = |name: &str| {
            metadata.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
        };
        let mut settings = of_a_drop();
        settings.mode = choice(given("mode"), settings.mode, "invalid-mode")?;
        settings.on_existing =
            choice(given("on-existing"), settings.on_existing, "invalid-on-existing")?;
        settings.on_shortage =
            choice(given("on-shortage"), settings.on_shortage, "invalid-on-shortage")?;
        let mut defaults = RowDefaults::default();
        if let Some(tag) = given("language") {
            let language = self.languages.parse(tag);
            defaults.language = Some(language.map_err(|_| rejected("invalid-language"))?);
        }
        if let Some(text) = given("start-on") {
            let day = self.start_on(ground, text);
            defaults.start_on = Some(day.ok_or_else(|| rejected("invalid-start-on"))?);
        }
        if let Some(answer) = given("notify") {
            let notify = parse_notify(answer);
            defaults.notify = Some(notify.ok_or_else(|| rejected("invalid-notify"))?);
        }
        for name in given("groups").unwrap_or_default().split(['|', ';', ',']).map(str::trim) {
            if !name.is_empty() {
                let group = groups.find(name).ok_or_else(|| rejected("invalid-groups"))?;
                defaults.group_ids.insert(group);
            }
        }
        settings.defaults = serde_json::to_value(&defaults).unwrap_or_default();
        let sublicense_id = match given("sublicense") {
            None => None,
            Some(text) => Some(self.sublicense(ground, text).await?),
        };
        Ok(DropSettings { settings, sublicense_id })
    }

    /// The first day asked for: one the contract allows; a past one means today.
    fn start_on(&self, ground: &Ground, text: &str) -> Option<Date> {
        let day = parse_date(text, DateOrder::Dmy)?;
        let today = local_date(self.clock.now(), ground.client.time_zone.zone());
        ground.contract.start(Some(day), today).ok().flatten()
    }

    async fn sublicense(&self, ground: &Ground, text: &str) -> Result<SublicenseId, Stop> {
        let unknown = || rejected("invalid-sublicense");
        let id: SublicenseId = text.parse().map_err(|_| unknown())?;
        let client = &ground.client.client_id;
        let known = self.ports.sublicense(client, id).await?.ok_or_else(unknown)?;
        if known.contract_id == ground.contract.contract_id { Ok(id) } else { Err(unknown()) }
    }
}

fn choice<T: FromStr>(given: Option<&str>, default: T, code: &'static str) -> Result<T, Stop> {
    given.map_or(Ok(default), |text| text.parse().map_err(|_| rejected(code)))
}

/// A rejection that no line is to blame for.
pub(super) fn rejected(code: &'static str) -> Stop {
    Stop::Rejected(Unreadable { code, line: None, column: None })
}
