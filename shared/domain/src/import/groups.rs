//! The groups that rows may name.

use std::collections::HashMap;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

use crate::ids::GroupId;

/// A name as names are compared: case and Unicode form do not matter, accents do.
pub fn fold_name(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let lower: String = if is_composed(name) {
        name.chars().flat_map(char::to_lowercase).collect()
    } else {
        name.nfc().flat_map(char::to_lowercase).collect()
    };
    // Lower case can leave a form that is not composed (`İ`): compose last.
    if is_composed(&lower) { lower } else { lower.nfc().collect() }
}

/// Whether the text is certainly in composed form, as most are.
fn is_composed(text: &str) -> bool {
    is_nfc_quick(text.chars()) == IsNormalized::Yes
}

/// Groups by id and by name. It holds those the caller sees; others do not exist here.
#[derive(Debug, Clone, Default)]
pub struct GroupDirectory {
    by_name: HashMap<String, GroupId>,
    by_id: HashMap<String, GroupId>,
}

impl GroupDirectory {
    /// The group that a cell's part names, by its id or its name.
    pub fn find(&self, text: &str) -> Option<GroupId> {
        self.by_id.get(text).or_else(|| self.by_name.get(&fold_name(text))).copied()
    }
}

impl<N: AsRef<str>> FromIterator<(GroupId, N)> for GroupDirectory {
    /// Of two groups with the same folded name, the first is found by it.
    fn from_iter<I: IntoIterator<Item = (GroupId, N)>>(groups: I) -> Self {
        let mut directory = Self::default();
        for (id, name) in groups {
            directory.by_name.entry(fold_name(name.as_ref())).or_insert(id);
            directory.by_id.insert(id.to_string(), id);
        }
        directory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_id_or_name_whatever_its_case_and_unicode_form() {
        let (paris, nord) = (GroupId::from_bits(1), GroupId::from_bits(2));
        let groups: GroupDirectory =
            [(paris, "Paris"), (nord, "Région Nord")].into_iter().collect();
        assert_eq!(groups.find("PARIS"), Some(paris));
        assert_eq!(groups.find(&paris.to_string()), Some(paris));
        assert_eq!(groups.find("re\u{301}gion nord"), Some(nord));
        assert_eq!(groups.find("Region Nord"), None);
        assert_eq!(groups.find(&GroupId::from_bits(3).to_string()), None);
    }
}
