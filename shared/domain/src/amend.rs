//! What a change says about something that may be there or not.

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Amend<T> {
    /// It stays.
    #[default]
    Keep,
    /// There is none any more.
    Clear,
    /// This one.
    Set(T),
}

impl<T> Amend<T> {
    /// What there is then, where there was `before`.
    pub fn of(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// Whether nothing changes.
    pub const fn keeps(&self) -> bool {
        matches!(self, Self::Keep)
    }
}
