//! Fields about a person, read alike wherever the API takes them.

use std::collections::BTreeSet;

use seatkeeper_domain::actions::address_list::split_addresses;
use seatkeeper_domain::client::AlertRecipient;
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::ids::{ContractId, GroupId, SublicenseId};
use seatkeeper_domain::language::{Language, Languages};
use seatkeeper_domain::learner::{Profile, ProfileChange};
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::role::{Caller, Role};

use serde_json::Value;

use crate::body::{Fields, Given, Refusal, date, lines, parsed, text, text_or_texts};

/// Most characters of a name.
pub const NAME_MAX: usize = 100;
/// Most characters of a label.
pub const LABEL_MAX: usize = 100;
/// Most groups, labels or roles of one person.
pub const SET_MAX: usize = 100;
/// Characters of an address and what parts it from the next one.
const ADDRESS_LENGTH: usize = 320;
/// Most characters of the additional information.
pub const INFO_MAX: usize = 2_000;

/// An e-mail address, normalized.
pub fn email(given: Given<'_>) -> Result<EmailAddress, Refusal> {
    parsed("invalid-email", EmailAddress::parse)(given)
}

/// Many addresses in one text, or a list with one in each item; at most `most` of them.
pub fn addresses(most: usize) -> impl Fn(Given<'_>) -> Result<Vec<String>, Refusal> {
    move |given| {
        let texts = text_or_texts(ADDRESS_LENGTH * most)(given)?;
        let addresses = match given.as_text() {
            Ok(text) => split_addresses(text),
            Err(_) => texts,
        };
        match addresses.len() {
            0 => Err(Refusal::new("too-few", "Give at least one address.")),
            given if given <= most => Ok(addresses),
            _ => {
                let detail = format!("At most {most} addresses; send several calls.");
                Err(Refusal::new("too-many", detail))
            }
        }
    }
}

/// Who is told of a contract's end: an address, or `{email, language}`.
pub fn alert_recipient(
    languages: &Languages,
) -> impl Fn(Given<'_>) -> Result<AlertRecipient, Refusal> + '_ {
    move |given| {
        let Some(fields) = given.as_object() else {
            return Ok(AlertRecipient { email: email(given)?, language: None });
        };
        if fields.keys().any(|name| !["email", "language"].contains(&name.as_str())) {
            return Err(Refusal::new("unknown-field", "Give email and language only."));
        }
        let spoken = fields.get("language").filter(|value| !value.is_null());
        Ok(AlertRecipient {
            email: email(given.of(fields.get("email").unwrap_or(&Value::Null)))?,
            language: spoken.map(|tag| language(languages)(given.of(tag))).transpose()?,
        })
    }
}

/// One of the stack's languages; a region is dropped.
pub fn language(languages: &Languages) -> impl Fn(Given<'_>) -> Result<Language, Refusal> + '_ {
    parsed("unknown-language", |tag: &str| languages.parse(tag))
}

/// A password of the stack's policy, as it was typed.
pub fn password(
    policy: PasswordPolicy,
) -> impl Fn(Given<'_>) -> Result<seatkeeper_domain::password::Password, Refusal> {
    parsed("weak-password", move |typed: &str| policy.check(typed))
}

/// `contract_id`, which has to be there, and `sublicense_id`.
pub fn pool(fields: &mut Fields) -> (Option<ContractId>, Option<SublicenseId>) {
    let contract = fields.required("contract_id", parsed("unknown-contract", str::parse));
    let sublicense = fields.optional("sublicense_id", parsed("unknown-sublicense", str::parse));
    (contract, sublicense)
}

/// `contract_id` and `sublicense_id`, where a contract is picked if none is named.
pub fn pool_or_any(fields: &mut Fields) -> (Option<ContractId>, Option<SublicenseId>) {
    let contract = fields.optional("contract_id", parsed("unknown-contract", str::parse));
    let sublicense = fields.optional("sublicense_id", parsed("unknown-sublicense", str::parse));
    (contract, sublicense)
}

/// `roles`: the learner's alone if none are named.
pub fn roles(fields: &mut Fields) -> BTreeSet<Role> {
    let named = fields.optional_list("roles", 0..=SET_MAX, parsed("unknown-role", str::parse));
    named.unwrap_or_default().into_iter().collect()
}

/// `group_ids`.
pub fn groups(fields: &mut Fields) -> BTreeSet<GroupId> {
    let named = fields.optional_list("group_ids", 0..=SET_MAX, parsed("unknown-group", str::parse));
    named.unwrap_or_default().into_iter().collect()
}

/// `labels`.
pub fn labels(fields: &mut Fields) -> BTreeSet<String> {
    let named = fields.optional_list("labels", 0..=SET_MAX, text(1..=LABEL_MAX));
    named.unwrap_or_default().into_iter().collect()
}

/// Everything that is known of a person, each of it optional.
pub fn profile(fields: &mut Fields, languages: &Languages) -> Profile {
    Profile {
        first_name: fields.optional("first_name", text(1..=NAME_MAX)),
        last_name: fields.optional("last_name", text(1..=NAME_MAX)),
        language: fields.optional("language", language(languages)),
        roles: roles(fields),
        group_ids: groups(fields),
        labels: labels(fields),
        external_id: fields.optional("external_id", text(1..=NAME_MAX)),
        additional_info: fields.optional("additional_info", lines(1..=INFO_MAX)),
        end_on: fields.optional("end_on", date()),
        delete_on: fields.optional("delete_on", date()),
    }
}

/// What a `PATCH` changes of a person: `null` empties, a list replaces the one there.
pub fn profile_change(fields: &mut Fields, languages: &Languages) -> ProfileChange {
    let given = |name: &str, fields: &Fields| fields.has(name);
    let (with_roles, with_groups, with_labels) =
        (given("roles", fields), given("group_ids", fields), given("labels", fields));
    ProfileChange {
        first_name: fields.change("first_name", text(1..=NAME_MAX)),
        last_name: fields.change("last_name", text(1..=NAME_MAX)),
        language: fields.change("language", language(languages)),
        roles: Some(roles(fields)).filter(|_| with_roles),
        group_ids: Some(groups(fields)).filter(|_| with_groups),
        labels: Some(labels(fields)).filter(|_| with_labels),
        external_id: fields.change("external_id", text(1..=NAME_MAX)),
        additional_info: fields.change("additional_info", lines(1..=INFO_MAX)),
        end_on: fields.change("end_on", date()),
        delete_on: fields.change("delete_on", date()),
        suspended: None,
    }
}

/// The address a copy goes to, where the caller asked for one: the token's own.
pub fn copy_to(fields: &mut Fields, caller: &Caller, wanted: bool) -> Option<EmailAddress> {
    if !wanted {
        return None;
    }
    let own = caller.email.as_deref().and_then(|own| EmailAddress::parse(own).ok());
    if own.is_none() {
        let detail = "Your token names no e-mail address a copy could go to.";
        fields.refuse("copy_to_me", "no-address", detail);
    }
    own
}
