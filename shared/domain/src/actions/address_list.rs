//! A list of addresses as somebody pasted it, and a verdict for each entry.

use std::collections::BTreeMap;

use crate::email::{EmailAddress, InvalidEmail};

/// What came of one address.
#[derive(Clone, PartialEq, Eq)]
pub struct AddressResult<V> {
    /// The address, normalized where that was possible.
    pub email: String,
    /// What came of it.
    pub verdict: V,
}

/// The list as given, and its addresses without repeats.
pub(super) struct AddressList {
    entries: Vec<Entry>,
    pub(super) unique: Vec<EmailAddress>,
}

/// One entry of the list, as it was given.
enum Entry {
    /// The place among the unique addresses.
    First(usize),
    /// Later copies of that one.
    Again(usize),
    Invalid(String, InvalidEmail),
}

/// Takes a pasted list apart: at commas, semicolons, spaces and line breaks.
pub fn split_addresses(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| matches!(c, ',' | ';') || c.is_whitespace());
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

impl AddressList {
    pub(super) fn of(given: &[String]) -> Self {
        let mut places: BTreeMap<EmailAddress, (usize, bool)> = BTreeMap::new();
        let mut list = Self { entries: Vec::new(), unique: Vec::new() };
        for text in given {
            let email = match EmailAddress::parse(text) {
                Ok(email) => email,
                Err(error) => {
                    list.entries.push(Entry::Invalid(text.trim().to_owned(), error));
                    continue;
                }
            };
            match places.get_mut(&email) {
                None => {
                    places.insert(email.clone(), (list.unique.len(), false));
                    list.entries.push(Entry::First(list.unique.len()));
                    list.unique.push(email);
                }
                Some((_, told)) if *told => {}
                Some((place, told)) => {
                    *told = true;
                    list.entries.push(Entry::Again(*place));
                }
            }
        }
        list
    }

    /// A verdict per entry, in the order given; the later copies of an address are one.
    pub(super) fn results<O: Copy, V: Copy>(
        &self,
        outcomes: &[O],
        verdict: impl Fn(&EmailAddress, O) -> V,
        duplicate: V,
        invalid: impl Fn(InvalidEmail) -> V,
    ) -> Vec<AddressResult<V>> {
        let of = |email: String, verdict| AddressResult { email, verdict };
        let result = |entry: &Entry| match entry {
            Entry::Invalid(text, error) => of(text.clone(), invalid(*error)),
            Entry::Again(place) => of(self.unique[*place].to_string(), duplicate),
            Entry::First(place) => {
                let email = &self.unique[*place];
                of(email.to_string(), verdict(email, outcomes[*place]))
            }
        };
        self.entries.iter().map(result).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_list_is_taken_apart_at_commas_semicolons_blanks_and_lines() {
        assert_eq!(
            split_addresses("a@x.fr; b@x.fr,c@x.fr\r\n\td@x.fr  e@x.fr;;\n"),
            ["a@x.fr", "b@x.fr", "c@x.fr", "d@x.fr", "e@x.fr"]
        );
        assert!(split_addresses(" ;,\n").is_empty());
    }

    #[test]
    fn later_copies_of_an_address_are_one_duplicate() {
        let given = ["a@x.fr", "nope", "b@x.fr", "A@X.fr", "b@x.fr", "a@x.fr"].map(str::to_owned);
        let list = AddressList::of(&given);
        assert_eq!(list.unique.len(), 2);
        let results = list.results(&[1, 2], |_, outcome| outcome, 0, |_| -1);
        let shown: Vec<_> = results.iter().map(|r| (r.email.as_str(), r.verdict)).collect();
        assert_eq!(
            shown,
            [("a@x.fr", 1), ("nope", -1), ("b@x.fr", 2), ("a@x.fr", 0), ("b@x.fr", 0)]
        );
    }
}
